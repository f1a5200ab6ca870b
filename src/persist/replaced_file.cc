// One replacement after the other.
#include "persist/replaced_file.h"

#include <iterator>
#include <utility>

#include "util/check.h"

namespace quorate {

void ReplacedFile::write(std::string_view bytes) {
  CHECK(is_due());
  is_writing_ = true;
  written_ = wanted_;
  file_.begin(name_, requests_);
  Buffer content;
  content.append(bytes);
  file_.write(std::move(content), requests_);
  file_.finish(requests_);
}

void ReplacedFile::drain(std::vector<DiskRequest>& requests) {
  std::move(requests_.begin(), requests_.end(), std::back_inserter(requests));
  requests_.clear();
}

void ReplacedFile::on_reply(DiskReply&& reply) {
  file_.on_reply(std::move(reply), requests_);
  if (file_.state() == FileWriter::State::kDone && is_writing_) {
    is_writing_ = false;
    durable_ = written_;
  }
  if (file_.state() == FileWriter::State::kFailed) {
    file_.abort(requests_);
    is_writing_ = false;
    has_failed_ = true;
    written_ = durable_;
  }
}

}  // namespace quorate
