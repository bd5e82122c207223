package check

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// A message is what the checker's channels carry.
type message struct {
	seq    uint64 // the channel's own number
	outs   int
	fails  bool
	poison poison
	takes  time.Duration // of a stubborn one
	body   []byte
}

// An out is what the checker's endpoint emits: which of a message's values it is,
// the state's hash before and after the message, and who made it.
type out struct {
	seq           uint64
	index         int
	before, after uint64
	host          Host
	instance      uint64
}

// state is the far endpoint's. Its hash is over all messages that it handled.
type state struct {
	hash uint64
	last uint64 // message
}

var table = crc64.MakeTable(crc64.ECMA)

// after returns the state after m. It is the sequential reference, too.
func (s state) after(m message) state {
	var head [8 * 3]byte
	binary.BigEndian.PutUint64(head[:], s.hash)
	binary.BigEndian.PutUint64(head[8:], m.seq)
	binary.BigEndian.PutUint64(head[16:], uint64(m.outs))
	return state{crc64.Update(crc64.Checksum(head[:], table), table, m.body), m.seq}
}

// fails returns the error of message seq, if the script wants it to fail. The error shows
// the state, so that one from another state is found.
func fails(seq, hash uint64) error {
	return fmt.Errorf("message %d fails at %016x", seq, hash)
}

// makeMessage makes message seq of a step. In mode Latest each has a result, so
// that what has none can be counted, and each that overruns has one, so that it shows
// whether it was handled.
func makeMessage(seed, seq uint64, s Step, of Settings) message {
	r := rand.New(rand.NewPCG(seed, seq))
	m := message{seq: seq, outs: 1}
	size := s.Size
	if s.Vary {
		m.outs, size = r.IntN(4), r.IntN(s.Size+1)
	}
	m.poison = poisonOf(seq, &s, of)
	if m.poison == stubborn {
		m.takes = stubbornness * of.Deadline
	}
	if (of.Latest || m.poison.overruns()) && m.outs == 0 {
		m.outs = 1
	}
	m.fails = s.Fail > 0 && seq%uint64(s.Fail) == 0
	m.body = make([]byte, size)
	for i := 0; i+8 <= size; i += 8 {
		binary.LittleEndian.PutUint64(m.body[i:], r.Uint64())
	}
	return m
}

// A ground is where far endpoints of one channel stand: an edge host or the UE.
type ground struct {
	host    Host
	desc    offload.Desc
	slow    func() time.Duration // each message takes so long
	harsh   bool                 // native code that breaks panics
	pad     int                  // bytes of the state besides
	journal *journal
}

// endpoint is the checker's marked type as generated code would declare it.
func (g *ground) endpoint() *codegen.Endpoint[message, out] {
	return &codegen.Endpoint[message, out]{
		Desc: g.desc, New: g.live,
		AppendIn: appendMessage, ReadIn: readMessage, AppendOut: appendOut, ReadOut: readOut,
	}
}

func (g *ground) live() *codegen.Live[message, out] {
	var s state
	instance := g.journal.instance()
	return &codegen.Live[message, out]{
		Handle: func(ctx context.Context, m message, emit func(out) error) error {
			if d := g.slow(); d > 0 {
				pass(ctx, d)
			}
			if err := m.suffer(ctx, g); err != nil {
				return err
			}
			g.journal.handled(g, instance, s, m)
			before := s.hash
			s = s.after(m)
			for i := range m.outs {
				if err := emit(out{m.seq, i, before, s.hash, g.host, instance}); err != nil {
					return err
				}
			}
			if m.fails {
				return fails(m.seq, s.hash)
			}
			return nil
		},
		AppendState: func(b []byte) []byte { return g.appendState(b, s) },
		ReadState:   func(r *pack.Reader) { s = g.readState(r) },
	}
}

func (g *ground) appendState(b []byte, s state) []byte {
	b = pack.AppendUint(pack.AppendUint(b, s.hash), s.last)
	return pack.AppendBytes(b, make([]byte, g.pad))
}

func (g *ground) readState(r *pack.Reader) state {
	s := state{r.Uint(), r.Uint()}
	if n := len(r.BytesRef()); r.Err() == nil && n != g.pad {
		g.journal.fail("a state on %s has %d bytes besides, not %d", g.host, n, g.pad)
	}
	return s
}

// pass lets d pass, or ctx end.
func pass(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func appendMessage(b []byte, m message) []byte {
	b = pack.AppendInt(pack.AppendUint(b, m.seq), int64(m.outs))
	b = pack.AppendInt(pack.AppendBool(b, m.fails), int64(m.poison))
	b = pack.AppendBytes(pack.AppendInt(b, int64(m.takes)), m.body)
	for range len(m.body) / breath { // to encode takes time: others get their turn
		runtime.Gosched()
	}
	return b
}

// breath is how many bytes of a message are encoded in a row.
const breath = 1 << 10

func readMessage(r *pack.Reader) message {
	return message{
		seq: r.Uint(), outs: int(r.IntN(32)), fails: r.Bool(),
		poison: poison(r.IntN(32)), takes: time.Duration(r.IntN(64)), body: r.BytesRef(),
	}
}

func appendOut(b []byte, o out) []byte {
	b = pack.AppendInt(pack.AppendUint(b, o.seq), int64(o.index))
	b = pack.AppendUint(pack.AppendUint(b, o.before), o.after)
	return pack.AppendUint(pack.AppendString(b, string(o.host)), o.instance)
}

func readOut(r *pack.Reader) out {
	return out{r.Uint(), int(r.IntN(32)), r.Uint(), r.Uint(), Host(r.String()), r.Uint()}
}
