// A flow with lower and upper bounds, mended at the least cost from a flow that is given.  Made for
// placement: what is there already is the given flow, each unit that moves costs one.
//
// Successive shortest paths with potentials (Ahuja, Magnanti, Orlin 1993, chapter 9): a search
// costs O(arcs seen * log) and ends at the first vertex that lacks a unit, so a plan that is nearly
// right is mended in time proportional to what is wrong with it.
#pragma once

#include <cstdint>
#include <vector>

namespace quorate::placement {

// Calls: add_arc*, add_supply*, mend, flow*.
class BoundedFlow {
 public:
  using Vertex = uint32_t;
  using Arc = uint32_t;
  struct Bounds {
    int64_t lower = 0;
    int64_t upper = 0;
  };

  explicit BoundedFlow(uint32_t vertices) : vertices_(vertices) {}

  // An arc that carries `flow` at the start.  Arcs of a vertex are tried in the order they are
  // added. Requires: lower <= flow <= upper, cost >= 0, and cost == 0 where flow > lower.  (So the
  // start is the cheapest among the flows with its imbalance, which makes the end the cheapest of
  // all.)
  Arc add_arc(Vertex from, Vertex to, Bounds bounds, int64_t flow, int64_t cost);
  // `amount` enters at the vertex, or leaves it if negative.
  void add_supply(Vertex vertex, int64_t amount) { vertices_[vertex].excess += amount; }

  // Makes the flow meet all supplies, at the least cost.  False if there is no such flow.
  bool mend();

  int64_t flow(Arc arc) const { return arcs_[arc].flow; }

 private:
  struct ArcState {
    Vertex from = 0;
    Vertex to = 0;
    Bounds bounds;
    int64_t flow = 0;
    int64_t cost = 0;
  };
  // One direction of an arc, as a search walks it.
  struct Step {
    Arc arc = 0;
    int32_t sign = 1;
  };
  struct VertexState {
    int64_t excess = 0;
    int64_t potential = 0;
    std::vector<Step> steps;
    // Of the search numbered `search`.
    uint64_t search = 0;
    int64_t distance = 0;
    Step arrived;
    uint64_t settled = 0;
  };

  bool find_path(Vertex source, Vertex& sink);
  void push(Vertex source, Vertex sink);
  int64_t residual(Step step) const;
  Vertex head(Step step) const { return step.sign > 0 ? arcs_[step.arc].to : arcs_[step.arc].from; }
  Vertex tail(Step step) const { return step.sign > 0 ? arcs_[step.arc].from : arcs_[step.arc].to; }

  std::vector<VertexState> vertices_;
  std::vector<ArcState> arcs_;
  std::vector<Vertex> settled_;  // by the last search
  uint64_t search_ = 0;
};

}  // namespace quorate::placement
