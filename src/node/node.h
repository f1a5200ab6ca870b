// One shard's mind: sessions, commands, transactions, blocking, pub/sub, the log.  A pure function from inputs to
// outputs: no sockets, clock, files or threads; a driver (libuv in src/server, a simulated world in tests) feeds it
// and carries out what it asks for through node/effects.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cluster/peers.h"
#include "cluster/state_pieces.h"
#include "node/mistakes.h"
#include "node/start_mark.h"
#include "persist/disk.h"
#include "persist/identity.h"
#include "persist/rejoin.h"
#include "store/db.h"
#include "util/mac.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate {

class Configuration;
class Driver;
class Host;
struct NodeSettings;
struct NodeState;
struct ProcessSettings;

// A connection as the node knows it.  Opaque to the driver, which keeps the pointer beside its socket.
// Valid from connect() until the node calls Driver::close for it.
class Session;

// By which of a server's ports a client has come.
enum class ClientDoor : uint8_t {
  kMain,     // `port` and the Unix socket: every request is answered, wherever its key is led
  kCluster,  // `cluster-client-port`: for clients that know the cluster and go where MOVED sends them
};

struct PeerInfo {
  void* connection = nullptr;   // the driver's own; handed back with every Driver call
  std::string address;          // "127.0.0.1:50124", "[::1]:50124", or the path of the Unix socket with ":0"
  std::string local_address;    // laddr of CLIENT LIST
  bool is_loopback = true;      // protected-mode and enable-debug-command local look at it; Unix sockets: true
  bool is_unix_socket = false;
  int64_t descriptor = -1;      // fd of CLIENT LIST; means nothing else
  ClientDoor door = ClientDoor::kMain;
};

// Which directions a connection has lost.
enum class Hangup : uint8_t {
  kHalf,   // the peer sends no more (FIN) but may still read: what it is owed is flushed, then closed
  kWhole,  // nothing can be sent any more (reset, error)
};

struct NodeOptions {
  Store::Options store;
  uint32_t shard = 0;
  uint64_t new_log_id = 1;      // of a log that begins now: LogIdentity, as store.hash_seed
  NodeIdentity identity = {};   // begin_life(); without one the node stays alone
  std::optional<Rejoin> rejoin = {};   // likewise: it is in the place of another one
  StartFacts start_facts = {};  // of a node that may have company
  uint64_t seed = 1;            // of ids that must differ between processes (run_id)
  Bytes32 nonce_key = {};       // of what other nodes must not be able to foresee (NonceSource); drawn anew by each process
  // A cheap monotonic clock in microseconds for slow log and command statistics; constant in simulation.
  // Never used to decide anything.
  int64_t (*clock_us)() = nullptr;
  NodeSettings& settings;
  StoreSettings& store_settings;
  ProcessSettings& process_settings;
  Configuration& configuration;
  Host& host;
  raft::Options group = {};     // what all replicas of a node in company share
  StateOptions states = {};
  NodeMistakes mistakes = {};   // of tests
};

// What has arrived at a connection.
struct Received {
  Session* session = nullptr;
  std::string_view bytes;
};

// Owned by the driver.  Calls must match:
//   recover? start ( (connect | receive | receive_all | read_target | peer_closed | sent | disk_reply | peer_* | tick)* perform turn_took? )*
// where perform (node/effects.h) ends the turn: it carries out everything the inputs since the last one gave rise to.
// `now` never runs back.
class Node {
 public:
  explicit Node(const NodeOptions& options);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Reads back snapshot and log, synchronously, before anything else.  An error says what is damaged and what to
  // do about it; the process must not go on.  Requires: `disk` outlives the node (DEBUG LOADAOF reads it again).
  Status recover(Disk& disk, Instant now);
  // Why recover() has failed: the log is damaged, and the node of this directory is no more.  With begin_life() another one begins.
  bool has_retired() const;
  // Takes up work (begins a log segment if a log is kept).
  void start(Instant now);

  // ---- inputs --------------------------------------------------------------------------------------
  // A new connection.  Never null: one that must be refused (maxclients) is told so and closed by the outputs.
  Session* connect(Instant now, PeerInfo peer);
  // Bytes that arrived.  `bytes` are borrowed for the call: the driver's shared read buffer, or what
  // read_target() gave.  May be called after the node asked to close: then nothing happens.
  void receive(Instant now, Session* session, std::string_view bytes);
  // The same for each of them, in their order: what the first commands of all need is fetched into the cache together.
  void receive_all(Instant now, std::span<const Received> inputs);
  // Where to read the next bytes, if a big value is being received: straight into place instead of the shared read
  // buffer.  Empty: use the shared buffer.  Valid until the next call with this session, or perform().
  std::span<char> read_target(Session* session);
  // False while the session should not be read from (it is owed too much, or blocked with a full buffer).
  bool wants_input(const Session* session) const;
  void peer_closed(Instant now, Session* session, Hangup hangup);
  // Bytes that Driver::send had taken over without writing them at once have left.
  void sent(Instant now, Session* session, size_t bytes);
  void disk_reply(Instant now, DiskReply&& reply);
  // Connections with other nodes (cluster/peers.h).  Somebody has connected to the cluster's port, `from` there: the number of
  // the connection; 0: close it.
  ConnectionId peer_accepted(Instant now, const PeerAddress& from);
  void peer_dialled(Instant now, ConnectionId connection);
  void peer_received(Instant now, ConnectionId connection, std::string_view bytes);
  // Dialling failed, or the connection is gone.
  void peer_lost(Instant now, ConnectionId connection);
  // Time has passed: call it when deadline() is reached; earlier does no harm.
  void tick(Instant now);
  // After perform(): the CPU time of the turn that it ended, as far as the driver measures it.  For the statistics
  // only: nothing is decided by it.
  void turn_took(int64_t cpu_us);
  // SIGTERM and the like: as SHUTDOWN would.  Ends with Host::end_process once all is on disk.
  void shutdown(Instant now, uint8_t shutdown_options);

  // ---- what comes next -------------------------------------------------------------------------------
  // steady_us at which tick() must be called; kNever if nothing is planned.
  int64_t deadline() const;

  size_t session_count() const;
  Store& store();
  NodeState& state() { return *state_; }

 private:
  friend void perform(Node& node, Instant now, Driver& driver);
  std::unique_ptr<NodeState> state_;
};

}  // namespace quorate
