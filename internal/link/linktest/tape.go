package linktest

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"
)

// A Tape is a stream whose peer has said all that it will say. It takes everything that
// is written to it, until it is reset.
type Tape struct {
	io.Reader
	once sync.Once
	end  chan struct{} // closed by Reset
}

// NewTape returns a tape of what the peer has said.
func NewTape(said []byte) *Tape {
	return &Tape{Reader: bytes.NewReader(said), end: make(chan struct{})}
}

// Write fails after Reset.
func (t *Tape) Write(p []byte) (int, error) {
	select {
	case <-t.end:
		return 0, errors.New("reset")
	default:
		return len(p), nil
	}
}

// Close does nothing.
func (t *Tape) Close() error { return nil }

// CloseRead does nothing.
func (t *Tape) CloseRead() {}

// Reset ends the tape for writers. Further calls do nothing.
func (t *Tape) Reset() { t.once.Do(func() { close(t.end) }) }

// SetReadDeadline does nothing: no read waits.
func (t *Tape) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: no write waits.
func (t *Tape) SetWriteDeadline(time.Time) error { return nil }
