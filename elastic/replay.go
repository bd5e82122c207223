package elastic

import (
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

// maxWindow bounds the messages that a channel keeps.
const maxWindow = wire.MaxWindow

// An entry is a message that the channel keeps: it has no outcome yet, or no
// checkpoint covers it.
type entry struct {
	frame    *[]byte // header and payload, as it was sent last
	sent     time.Time
	captured time.Time
	tag      []byte
	ran      time.Duration // how long it was handled, where it was answered
	overran  uint8         // places where it was over its deadline, or lost with a host that was silent so long
	broke    bool          // its outcome is that it broke a far endpoint: replays skip it
}

// A message is not tried any more after it has overrun so often: at two places, or twice on
// the UE.
const mostOverruns = 2

func (e *entry) size() int { return len(*e.frame) - wire.MessageHeader }

// A replay holds the messages after base, in order.
type replay struct {
	base      uint64 // the last message released
	entries   []entry
	head      int  // index of the first entry in use
	bytes     int  // of payloads
	recording bool // what is handled on the UE goes in, too: a Move has copied the state
}

func (r *replay) len() int { return len(r.entries) - r.head }

// last returns the number of the last message in it.
func (r *replay) last() uint64 { return r.base + uint64(r.len()) }

// at returns message seq, nil when it is not in it.
func (r *replay) at(seq uint64) *entry {
	if seq <= r.base || seq > r.last() {
		return nil
	}
	return &r.entries[r.head+int(seq-r.base)-1]
}

// push adds the next message.
func (r *replay) push(e entry) {
	if r.head > 0 && len(r.entries) == cap(r.entries) {
		n := copy(r.entries, r.entries[r.head:])
		clear(r.entries[n:])
		r.entries, r.head = r.entries[:n], 0
	}
	r.entries = append(r.entries, e)
	r.bytes += e.size()
}

// release drops the messages up to seq.
func (r *replay) release(seq uint64) {
	for r.base < seq && r.len() > 0 {
		e := &r.entries[r.head]
		r.bytes -= e.size()
		frames.Put(e.frame)
		*e = entry{}
		r.head++
		r.base++
	}
	if r.len() == 0 {
		r.entries, r.head = r.entries[:0], 0
	}
}

// reset empties it; the next message is seq+1.
func (r *replay) reset(seq uint64) {
	r.release(r.last())
	r.base, r.recording = seq, false
}

// work returns how long the messages from first to last took where they were answered.
func (r *replay) work(first, last uint64) (d time.Duration) {
	for seq := max(first, r.base+1); seq <= min(last, r.last()); seq++ {
		d += r.at(seq).ran
	}
	return d
}

// frames holds frames of messages between uses.
var frames = sync.Pool{New: func() any { return new([]byte) }}

// stamp writes the header of message m over the first bytes of frame.
func stamp(frame []byte, m wire.Message) {
	m.Size = len(frame) - wire.MessageHeader
	wire.AppendMessage(frame[:0], m)
}
