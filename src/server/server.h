// Puts the parts of a running server together and takes them apart again.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "node/config.h"
#include "node/start_mark.h"
#include "persist/disk.h"
#include "persist/rejoin.h"
#include "server/file_disk.h"
#include "server/options.h"
#include "server/server_log.h"
#include "store/rdb/file.h"

namespace quorate {

class Node;
class Process;
class ServiceManager;

// Lives for the whole of main().  Calls must match: configure (serve | ...).
class Server {
 public:
  // Makes the disks that the server works on; a test puts faults between.
  using DiskMaker = std::function<std::unique_ptr<Disk>(const DataDirectory&)>;
  explicit Server(DiskMaker make_disk = [](const DataDirectory& directory) {
    return std::make_unique<FileDisk>(directory);
  });

  // Applies the directives.  An error's detail is the whole message.
  Status configure(const Options& options);
  // Runs until the process is told to end; returns the exit code.
  int serve(const std::string& executable);
  // Both print what they did, and return the exit code.
  int import_rdb(const std::string& file);
  int export_rdb(const std::string& file);

 private:
  int refuse(std::string_view reason);
  Status settle_in(const ServiceManager& service_manager);
  Result<DataDirectory> open_directory();
  Result<uint64_t> import_into_directory(const std::string& file);
  Result<uint64_t> export_from_directory(const std::string& file);
  rdb::FileOptions rdb_options() const;
  Result<Life> begin_life(Disk& disk);
  std::unique_ptr<Node> make_node(Disk& disk, Host& host, const Life& life, const StartFacts& start_facts);
  // Runs a node of the directory until it ends.  Nothing: it has retired, and another one is to begin.
  std::optional<int> run_node(Process& process, const ServiceManager& service_manager, const DataDirectory& directory,
                              const std::string& pid_file);

  const DiskMaker make_disk_;
  StoreSettings store_settings_;
  NodeSettings node_settings_;
  ProcessSettings process_settings_;
  Configuration configuration_;
  ServerLog log_;
  std::string config_file_;
};

}  // namespace quorate
