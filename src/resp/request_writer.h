// A request as clients send it, for whoever passes one on: to a follower, to another node.
#pragma once

#include "resp/request_parser.h"
#include "util/buffer.h"

namespace quorate {

// Appends an array of bulk strings.
void append_request(Buffer& out, Args args);

}  // namespace quorate
