package far

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/deadline"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// An attachment is a far endpoint that serves a channel.
type attachment struct {
	wire.Attach
	st   Stream
	life context.Context // ends with the stream

	writing lock // one frame at a time goes out

	using    lock // the far endpoint is used; guards what follows
	far      Endpoint
	limit    time.Duration // of a message; 0: none
	broken   error         // why it cannot be used; nil: it can
	epoch    uint32
	seq      uint64            // the state is as of this message
	shown    bool              // a State has been sent since the last Restore
	shownSeq uint64            // its message
	shownSum [sha256.Size]byte // of the state
	shows    int               // States that are being sent

	come arrivals // mode Latest
}

// attach serves a far endpoint on st until the stream ends.
func (s *Server) attach(ctx context.Context, st Stream) {
	a, err := s.open(ctx, st)
	if err != nil {
		s.refuse(ctx, st, err)
		return
	}
	defer s.drop(a)
	st.SetReadDeadline(time.Time{}) // a channel may be silent for as long as it likes
	in := newIntake(a, s.cfg.MessageBytes)
	_, err = st.Write(wire.AppendCredit(nil, wire.TypeAttached, in.granted))
	a.writing.release()
	if err != nil {
		return
	}
	if err := in.run(ctx); err != nil {
		a.halt(in.at, err)
	}
}

// open makes a far endpoint. It returns with writing held: Attached is the first frame that the UE gets,
// before the Halt of a drain.
func (s *Server) open(ctx context.Context, st Stream) (a *attachment, err error) {
	q, err := wire.ReadAttach(st)
	if err != nil {
		return nil, err
	}
	a = &attachment{Attach: q, st: st, life: ctx, broken: errGone, writing: newLock(), using: newLock()}
	a.come.window = int(q.Window)
	a.writing.acquire()
	defer func() {
		if err != nil {
			a.writing.release()
		}
	}()
	if err := s.add(a); err != nil {
		return a, err
	}
	far, err := s.cfg.Open(ctx, q.Module, q.Fn)
	if err != nil {
		s.drop(a)
		return a, err
	}
	a.using.acquire()
	a.far, a.limit, a.broken = far, shorter(q.Deadline, far.Limit()), nil
	a.using.release()
	return a, nil
}

// shorter returns the shorter limit of two. Zero is no limit.
func shorter(a, b time.Duration) time.Duration {
	if a <= 0 || b <= 0 {
		return max(a, b)
	}
	return min(a, b)
}

// free closes the far endpoint.
func (a *attachment) free() {
	a.using.acquire()
	defer a.using.release()
	if a.far != nil {
		a.far.Close()
	}
	a.far, a.broken = nil, errGone
}

// send sends whole frames on the attachment's stream.
func (a *attachment) send(frames []byte) error {
	a.writing.acquire()
	defer a.writing.release()
	_, err := a.st.Write(frames)
	return err
}

// halt tells the UE why the attachment ends, or must move. seq is the message that caused
// it, 0 for none.
func (a *attachment) halt(seq uint64, why error) {
	a.send(wire.AppendHalt(nil, wire.Halt{Seq: seq, Fail: *wire.FailOf(why)}))
}

// fail answers a request on st with err. When that broke the far endpoint, the attachment ends, too.
func (a *attachment) fail(st Stream, err error) {
	refuse(st, err)
	var f *wire.Fail
	if errors.As(err, &f) && f.Started {
		a.halt(0, err)
	}
}

// An intake handles what comes on an attachment's stream.
type intake struct {
	*attachment
	r            *bufio.Reader
	bytes        int // that the UE may send ahead
	granted      wire.Credit
	taken        wire.Credit
	at           uint64 // the message that is being handled; 0: none
	payload, out []byte // reused
}

func newIntake(a *attachment, bytes int) *intake {
	in := &intake{attachment: a, r: bufio.NewReaderSize(a.st, 2<<10), bytes: bytes}
	in.granted = in.grant()
	return in
}

// keepBuffer is the most that an idle attachment keeps of its last message's buffers.
const keepBuffer = 256 << 10

// run returns nil when the UE ends the stream, else why it cannot go on.
func (in *intake) run(ctx context.Context) error {
	for {
		in.at = 0
		b, err := in.r.ReadByte()
		if err != nil {
			return nil // the UE is done with it, or gone
		}
		in.out = in.out[:0]
		switch t := wire.Type(b); {
		case t == wire.TypeRestore:
			err = in.restore(ctx)
		case t == wire.TypeMessage && !in.Latest:
			err = in.message(ctx)
		default:
			err = protocol("frame 0x%02x on a channel's stream", t)
		}
		if err == nil && len(in.out) > 0 {
			err = in.send(in.out)
		}
		if err != nil {
			return err
		}
		if cap(in.payload)+cap(in.out) > keepBuffer {
			in.payload, in.out = nil, nil
		}
	}
}

// restore reads a state and gives it to the far endpoint.
func (in *intake) restore(ctx context.Context) error {
	h, err := wire.ReadState(in.r)
	if err == nil && h.Same {
		err = protocol("a Restore says that its state is the same")
	}
	if err != nil {
		return err
	}
	if in.payload, err = wire.ReadPayload(in.r, in.payload, h.Size); err != nil {
		return err
	}
	in.out = wire.AppendCredit(in.out, wire.TypeCredit, in.granted)
	return in.put(ctx, h.Seq, in.payload)
}

// put replaces the far endpoint's state by that as of message seq.
func (a *attachment) put(ctx context.Context, seq uint64, state []byte) error {
	a.using.acquire()
	defer a.using.release()
	if a.broken != nil {
		return a.broken
	}
	bounded := deadline.New(ctx, a.far.Limit())
	defer bounded.End()
	if err := a.far.Restore(bounded, state); err != nil {
		a.breakLocked(err)
		return err
	}
	a.seq, a.shown = seq, false
	return nil
}

// breakLocked notes that the far endpoint cannot be used because of err, an error of its
// own, unless that says that nothing has begun. using is held.
func (a *attachment) breakLocked(err error) {
	var f *wire.Fail
	if !errors.As(err, &f) || f.Started {
		a.broken = err
	}
}

// message reads a message and handles it.
func (in *intake) message(ctx context.Context) error {
	m, err := wire.ReadMessage(in.r)
	if err != nil {
		return err
	}
	in.at = m.Seq
	if in.payload, err = wire.ReadPayload(in.r, in.payload, m.Size); err != nil {
		return err
	}
	if in.out, err = in.handleNext(ctx, m, in.payload, in.out); err != nil {
		return err
	}
	in.taken.Messages++
	in.taken.Bytes += uint64(m.Size)
	if more := in.grant(); m.Quiet && in.r.Buffered() == 0 || in.worth(more) {
		in.granted = more
		in.out = wire.AppendCredit(in.out, wire.TypeCredit, more)
	}
	return nil
}

// grant returns the credit that the messages taken so far allow.
func (in *intake) grant() wire.Credit {
	return wire.Credit{
		Messages: in.taken.Messages + uint64(in.Window),
		Bytes:    in.taken.Bytes + uint64(in.bytes),
		Done:     in.taken.Messages,
	}
}

// worth says whether the credit more is worth a frame: half of the last one is used.
func (in *intake) worth(more wire.Credit) bool {
	return 2*(more.Messages-in.granted.Messages) >= uint64(in.Window) || 2*(more.Bytes-in.granted.Bytes) >= uint64(in.bytes)
}

// handleNext handles m, which must be the next message, and appends the frame that
// answers it to dst.
func (in *intake) handleNext(ctx context.Context, m wire.Message, payload, dst []byte) ([]byte, error) {
	in.using.acquire()
	defer in.using.release()
	if in.broken != nil { // by a Save: no message is to blame
		in.at = 0
		return dst, in.broken
	}
	if m.Epoch < in.epoch || m.Seq != in.seq+1 {
		return dst, protocol("message %d of epoch %d after %d of epoch %d", m.Seq, m.Epoch, in.seq, in.epoch)
	}
	in.epoch = m.Epoch
	if m.Skip {
		in.seq = m.Seq
		return dst, nil
	}
	return in.handleLocked(ctx, m, payload, dst)
}

// handleLocked handles m in a far endpoint that is not broken.
func (a *attachment) handleLocked(ctx context.Context, m wire.Message, payload, dst []byte) ([]byte, error) {
	bounded := deadline.New(ctx, a.limit)
	defer bounded.End()
	begin := time.Now()
	status, reply, err := a.far.Handle(bounded, payload)
	if err == nil && status == abi.Panic {
		line, _ := abi.SplitPanic(reply)
		err = &wire.Fail{Code: offload.CodePanicked, Started: true, Text: line}
	}
	if err == nil && len(reply) > wire.MaxPayload {
		err = &wire.Fail{Code: offload.CodeTooLarge, Started: true, Text: "outcome of a message"}
	}
	if err != nil {
		a.breakLocked(err)
		return dst, err
	}
	a.seq = m.Seq
	if m.Quiet {
		return dst, nil
	}
	o := wire.Outcome{Epoch: m.Epoch, Seq: m.Seq, Status: byte(status), Run: time.Since(begin), Size: len(reply)}
	return append(wire.AppendOutcome(dst, o), reply...), nil
}
