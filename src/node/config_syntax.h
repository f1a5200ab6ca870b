// The syntax of redis.conf: words and quotes of a line, what a command line turns into, and which known
// name an unknown one resembles.  Knows nothing of the settings themselves.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "util/result.h"

namespace quorate {

// Words are separated by blanks; "..." with \n \r \t \b \a \\ \" \xHH, '...' with \'.  A closing quote must be
// followed by a blank or the end.  Null: quotes do not balance.
std::optional<std::vector<std::string>> split_words(std::string_view line);

// The word as split_words reads it back: bare if it is plain, quoted else.
std::string quote_word(std::string_view word);

// The number of single-letter edits between two words.
size_t edit_distance(std::string_view a, std::string_view b);

// One line that sets something.
struct Directive {
  std::vector<std::string> words;  // never empty; the first is the name, in lower case
  std::string origin;              // the file as named, "standard input", or empty for the command line
  size_t line = 0;                 // from 1; 0 on the command line
  std::string text;                // the line as written, for the error message
};

// How the reader of "include" lines gets at files.
class ConfigFiles {
 public:
  struct File {
    std::string name;
    std::string text;
  };
  virtual ~ConfigFiles() = default;
  // The files that `pattern` names, in order; a pattern with * ? [ may match none.
  virtual Result<std::vector<File>> read(std::string_view pattern) = 0;
};

// The limits of what is read: more is an error.
constexpr size_t kIncludeDepthMax = 16;
constexpr size_t kConfigBytesMax = 16 * 1024 * 1024;

// Appends the directives of `text` to `out`; includes are read through `files`.  The error's detail is the whole
// message for the user, with file and line.
Status read_directives(std::string_view text, std::string_view origin, ConfigFiles& files,
                       std::vector<Directive>& out);

// --name value... --name value...: a word that begins with "--" starts a directive.
Result<std::vector<Directive>> command_line_directives(std::span<const std::string> args);

// The message of a bad line, in Redis' shape.  Passwords are not in it.
std::string directive_error(const Directive& directive, std::string_view reason);

}  // namespace quorate
