// Shortest paths by Dijkstra over reduced costs, which the potentials keep from being negative.
#include "cluster/flow.h"

#include <algorithm>
#include <queue>
#include <tuple>

#include "util/check.h"

namespace quorate::placement {

BoundedFlow::Arc BoundedFlow::add_arc(Vertex from, Vertex to, Bounds bounds, int64_t flow,
                                      int64_t cost) {
  CHECK(bounds.lower <= flow);
  CHECK(flow <= bounds.upper);
  CHECK(cost >= 0);
  if (flow > bounds.lower) CHECK(cost == 0);
  const auto arc = static_cast<Arc>(arcs_.size());
  arcs_.push_back({.from = from, .to = to, .bounds = bounds, .flow = flow, .cost = cost});
  vertices_[from].steps.push_back({arc, +1});
  vertices_[to].steps.push_back({arc, -1});
  vertices_[from].excess -= flow;
  vertices_[to].excess += flow;
  return arc;
}

bool BoundedFlow::mend() {
  for (Vertex source = 0; source < vertices_.size(); ++source) {
    while (vertices_[source].excess > 0) {
      Vertex sink = 0;
      if (!find_path(source, sink)) return false;
      push(source, sink);
    }
  }
  // What entered has left, so a vertex that still lacks something means that the supplies do not
  // add up.
  return std::all_of(vertices_.begin(), vertices_.end(),
                     [](const VertexState& vertex) { return vertex.excess == 0; });
}

int64_t BoundedFlow::residual(Step step) const {
  const ArcState& arc = arcs_[step.arc];
  return step.sign > 0 ? arc.bounds.upper - arc.flow : arc.flow - arc.bounds.lower;
}

bool BoundedFlow::find_path(Vertex source, Vertex& sink) {
  // Equal distances leave in order of arrival: the order of the arcs is a preference.
  using Waiting = std::tuple<int64_t, uint64_t, Vertex>;
  std::priority_queue<Waiting, std::vector<Waiting>, std::greater<>> waiting;
  uint64_t arrivals = 0;
  ++search_;
  settled_.clear();
  vertices_[source].search = search_;
  vertices_[source].distance = 0;
  waiting.emplace(0, arrivals++, source);
  while (!waiting.empty()) {
    const Vertex at = std::get<2>(waiting.top());
    waiting.pop();
    VertexState& here = vertices_[at];
    if (here.settled == search_) continue;
    here.settled = search_;
    settled_.push_back(at);
    if (here.excess < 0) {
      sink = at;
      for (const Vertex seen : settled_) {
        vertices_[seen].potential += vertices_[seen].distance - here.distance;
      }
      return true;
    }
    for (const Step step : here.steps) {
      if (residual(step) == 0) continue;
      VertexState& there = vertices_[head(step)];
      if (there.settled == search_) continue;
      const int64_t reduced = step.sign * arcs_[step.arc].cost + here.potential - there.potential;
      DCHECK(reduced >= 0);
      const int64_t distance = here.distance + reduced;
      if (there.search == search_ && there.distance <= distance) continue;
      there.search = search_;
      there.distance = distance;
      there.arrived = step;
      waiting.emplace(distance, arrivals++, head(step));
    }
  }
  return false;
}

void BoundedFlow::push(Vertex source, Vertex sink) {
  int64_t amount = std::min(vertices_[source].excess, -vertices_[sink].excess);
  for (Vertex at = sink; at != source; at = tail(vertices_[at].arrived)) {
    amount = std::min(amount, residual(vertices_[at].arrived));
  }
  CHECK(amount > 0);
  for (Vertex at = sink; at != source; at = tail(vertices_[at].arrived)) {
    const Step step = vertices_[at].arrived;
    arcs_[step.arc].flow += step.sign * amount;
  }
  vertices_[source].excess -= amount;
  vertices_[sink].excess += amount;
}

}  // namespace quorate::placement
