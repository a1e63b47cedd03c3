"""Run by torch.distributed.run: saves a toy whose weights are shared out between processes (FSDP 2).

usage: sharded_save.py FOLDER RECIPE
The adapter goes to FOLDER/adapter, the merged model to FOLDER/merged, what either should hold to FOLDER/expected.pt.
"""

import sys
from copy import deepcopy
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin
from peft import get_peft_model
from torch.distributed.fsdp import fully_shard

from training.common import config, sft


def main() -> None:
    folder, recipe = Path(sys.argv[1]), config.load_recipe(Path(sys.argv[2]), config.RoleRecipe)
    accelerator = Accelerator(cpu=True)
    opened = sft.open_base(recipe.base, folder)
    torch.manual_seed(1)
    model = get_peft_model(opened.model, sft.make_lora(recipe.adapter, opened.model))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    if accelerator.is_main_process:
        merged = deepcopy(model).merge_and_unload().state_dict()
        torch.save({"adapter": model.state_dict(), "merged": merged}, folder / "expected.pt")
    fully_shard(model)
    # What a launch with fsdp.yaml sets on GPUs; on a CPU accelerate falls back to whole copies.
    accelerator.state.distributed_type = DistributedType.FSDP
    accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(fsdp_version=2)
    for name in ("adapter", "merged"):
        own = recipe.model_copy(update={"adapter": recipe.adapter.model_copy(update={"merge": name == "merged"})})
        sft.save_weights(own, accelerator, model, opened, folder / name)
        torch.distributed.barrier()
    torch.distributed.destroy_process_group()


main()
