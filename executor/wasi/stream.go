package wasi

import (
	"bytes"
	"io"
	"io/fs"

	"github.com/bungee-xr/bungee/internal/abi"
)

// A stream is standard input, which is at its end, or standard output or error,
// which goes to a log by lines.
type stream struct {
	input bool
	log   func(string) // nil: nobody reads it
	line  []byte       // begun
	fatal string       // what Go's runtime said last of its end
	begun bool         // the line of fatal has not ended
}

// write takes b.
func (s *stream) write(b []byte, _ int) (int, error) {
	if s.input {
		return 0, eBadFD
	}
	s.noteFatal(b)
	if s.log == nil {
		return len(b), nil
	}
	for rest := b; len(rest) > 0; {
		rest = s.take(rest)
	}
	return len(b), nil
}

// maxFatal bounds what is kept of a fatal error.
const maxFatal = 256

// noteFatal takes note of Go's "fatal error: ...", which comes in pieces: first these words.
func (s *stream) noteFatal(b []byte) {
	const words = "fatal error: "
	switch i := bytes.LastIndex(b, []byte(words)); {
	case i >= 0:
		s.fatal, s.begun = "", true
		b = b[i+len(words):]
	case !s.begun:
		return
	}
	text, _, ended := bytes.Cut(b, []byte("\n"))
	s.fatal += string(text[:min(len(text), maxFatal-len(s.fatal))])
	s.begun = !ended
}

// take adds the beginning of b to the line, and returns what is left of b. A line is
// cut where it is longer than a line of the log may be.
func (s *stream) take(b []byte) []byte {
	room := abi.MaxLog - len(s.line)
	n := bytes.IndexByte(b[:min(len(b), room+1)], '\n')
	ended := n >= 0
	if !ended {
		n = min(len(b), room)
	}
	s.line = append(s.line, b[:n]...)
	b = b[n:]
	if ended {
		b = b[1:]
	}
	if ended || len(b) > 0 {
		s.log(string(s.line))
		s.line = s.line[:0]
	}
	return b
}

// close logs a line that was begun.
func (s *stream) close() error {
	if len(s.line) > 0 {
		s.log(string(s.line))
		s.line = nil
	}
	return nil
}

// describe says that it is a terminal, so that C libraries flush it at each line.
func (s *stream) describe() fdstat {
	rights := rightRead
	if !s.input {
		rights = rightWrite
	}
	return fdstat{kind: kindCharacter, rights: rights | rightPoll | rightStat}
}

// readable returns why nothing can be read.
func (s *stream) readable() error {
	if s.input {
		return io.EOF
	}
	return eBadFD
}

func (s *stream) stat() (fs.FileInfo, error) { return nil, nil }
