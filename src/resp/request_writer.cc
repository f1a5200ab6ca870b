// A request is written as a reply is.
#include "resp/request_writer.h"

#include "resp/reply.h"

namespace quorate {

void append_request(Buffer& out, Args args) {
  Reply request(out, Protocol::kResp2);
  request.array(args.size());
  for (const std::string_view arg : args) request.bulk(arg);
}

}  // namespace quorate
