package elastic

import (
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

// A log that is released as it is filled needs no more room than it holds.
func TestLogUsesItsRoomAgain(t *testing.T) {
	var r replay
	for seq := range uint64(10_000) {
		frame := make([]byte, wire.MessageHeader)
		r.push(entry{frame: &frame})
		if seq > 10 {
			r.release(seq - 10) // it is never empty
		}
	}
	if n := cap(r.entries); n > 64 {
		t.Errorf("10000 messages, 11 at a time, take room for %d", n)
	}
}

// The work of messages is that of those which are kept, the first and the last one too.
func TestWork(t *testing.T) {
	var r replay
	r.reset(10)
	for i := range 3 {
		frame := make([]byte, wire.MessageHeader)
		r.push(entry{frame: &frame, ran: time.Duration(i+1) * time.Second})
	}
	for _, tt := range []struct {
		first, last uint64
		want        time.Duration
	}{{11, 13, 6 * time.Second}, {1, 99, 6 * time.Second}, {12, 12, 2 * time.Second}, {14, 20, 0}, {1, 10, 0}} {
		if got := r.work(tt.first, tt.last); got != tt.want {
			t.Errorf("messages %d to %d of 11 to 13 took %v, want %v", tt.first, tt.last, got, tt.want)
		}
	}
}
