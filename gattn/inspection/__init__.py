"""Looking inside trained models: where nodes look, how far, through which heads.

from gattn.inspection import attention_maps, rollout_from

maps = attention_maps(model, x, neighborhood)
for name, found in maps.items():
    print(name, found.mass_by_hop().mean(1), found.effective_neighbors().mean())
print(rollout_from(maps, node=0))

Layers are found by what they can do, so PyG's own attention layers are read as well as ours.
"""

from gattn.inspection.capture import attention_maps as attention_maps
from gattn.inspection.flow import rollout as rollout
from gattn.inspection.flow import rollout_from as rollout_from
from gattn.inspection.heads import HeadImportance as HeadImportance
from gattn.inspection.heads import ablated as ablated
from gattn.inspection.heads import head_importance as head_importance
from gattn.inspection.maps import AttentionMap as AttentionMap
from gattn.inspection.maps import Neighbor as Neighbor
from gattn.inspection.pruning import KeptHeads as KeptHeads
from gattn.inspection.pruning import Savings as Savings
from gattn.inspection.pruning import prune_heads as prune_heads
from gattn.inspection.pruning import savings as savings
from gattn.inspection.reading import cluster_shares as cluster_shares
from gattn.inspection.reading import gates as gates
from gattn.inspection.reading import radii as radii
from gattn.inspection.reading import summary as summary
