"""How to cite the paper and this package."""

from esc_eval.version import __version__

PAPER = """\
@inproceedings{zhao2024esceval,
  title     = {{ESC-Eval}: Evaluating Emotion Support Conversations in Large Language Models},
  author    = {Zhao, Haiquan and Li, Lingyu and Chen, Shisong and Kong, Shuqi and Wang, Jiaan and Huang, Kexin and
               Gu, Tianle and Wang, Yixu and Wang, Jian and Liang, Dandan and Li, Zhixu and Teng, Yan and
               Xiao, Yanghua and Wang, Yingchun},
  booktitle = {Proceedings of the 2024 Conference on Empirical Methods in Natural Language Processing},
  pages     = {15785--15810},
  year      = {2024},
  eprint    = {2406.14952},
  archiveprefix = {arXiv}
}"""

PACKAGE = f"""\
@software{{esc_eval_package,
  title   = {{esc-eval: evaluation of language models at emotional support}},
  author  = {{{{The esc-eval maintainers}}}},
  version = {{{__version__}}},
  year    = {{2026}}
}}"""
