package far

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/budget"
	"github.com/bungee-xr/bungee/internal/deadline"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// An attachment is a far endpoint that serves a channel.
type attachment struct {
	wire.Attach
	st     Stream
	life   context.Context // ends with the stream
	memory *budget.Share

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
	defer in.drop()
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
	a = &attachment{Attach: q, st: st, life: ctx, memory: s.cfg.Memory, broken: errGone, writing: newLock(), using: newLock()}
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
	a.come.dropAll()
}

// send sends whole frames on the attachment's stream. An application that does not call Recv
// may take its time, unless its tenant is to let go of what is held for it: then the UE
// has as long as for any frame.
func (a *attachment) send(frames []byte) error {
	a.writing.acquire()
	defer a.writing.release()
	for {
		a.st.SetWriteDeadline(time.Now().Add(wire.FrameTimeout))
		n, err := a.st.Write(frames)
		frames = frames[n:]
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || n < leastTaken && a.memory.Pressed() {
			return err
		}
	}
}

// is says whether the far endpoint is one of which. It waits until it is made and while it is used.
func (a *attachment) is(which func(Endpoint) bool) bool {
	a.writing.acquire() // until then it is being made, see open
	a.writing.release()
	a.using.acquire()
	defer a.using.release()
	return a.far != nil && which(a.far)
}

// leastTaken is what a UE must take of a frame within wire.FrameTimeout.
const leastTaken = 256 << 10

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
	timed        bool   // a deadline for reading is set
	payload, out buffer // reused
}

// drop lets go of the buffers.
func (in *intake) drop() {
	in.payload.drop()
	in.out.drop()
}

func newIntake(a *attachment, bytes int) *intake {
	in := &intake{attachment: a, r: bufio.NewReaderSize(a.st, 2<<10), bytes: bytes}
	in.granted = in.grant(in.ahead())
	return in
}

// What an idle attachment keeps at most of its last message's buffers, and what it keeps if its
// tenant is to let go of what it can.
const (
	keepBuffer  = 256 << 10
	keepPressed = 4 << 10
)

// run returns nil when the UE ends the stream, else why it cannot go on.
func (in *intake) run(ctx context.Context) error {
	for {
		in.at = 0
		if in.timed {
			in.timed = false
			in.st.SetReadDeadline(time.Time{})
		}
		b, err := in.r.ReadByte()
		if err != nil {
			return nil // the UE is done with it, or gone
		}
		in.expects(wire.MessageHeader - 1)
		in.out.b = in.out.b[:0]
		switch t := wire.Type(b); {
		case t == wire.TypeRestore:
			err = in.restore(ctx)
		case t == wire.TypeMessage && !in.Latest:
			err = in.message(ctx)
		default:
			err = protocol("frame 0x%02x on a channel's stream", t)
		}
		if err == nil && len(in.out.b) > 0 {
			err = in.send(in.out.b)
		}
		if err != nil {
			return err
		}
		if kept := cap(in.payload.b) + cap(in.out.b); kept > keepBuffer || kept > keepPressed && in.memory.Pressed() {
			in.drop()
		}
	}
}

// expects sets a deadline for n bytes of a frame, unless they are there.
func (in *intake) expects(n int) {
	if in.r.Buffered() < n {
		in.timed = true
		in.st.SetReadDeadline(time.Now().Add(wire.FrameTimeout))
	}
}

// read reads a payload of n bytes.
func (in *intake) read(ctx context.Context, n int) error {
	in.expects(n)
	return in.payload.read(ctx, in.memory, in.r, in.st, n)
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
	if err = in.read(ctx, h.Size); err != nil {
		return err
	}
	in.credit(in.granted)
	return in.put(ctx, h.Seq, in.payload.b)
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
	if err = in.read(ctx, m.Size); err != nil {
		in.at = 0 // it is not to blame
		return err
	}
	if err = in.handleNext(ctx, m); err != nil {
		return err
	}
	in.taken.Messages++
	in.taken.Bytes += uint64(m.Size)
	ahead := in.ahead()
	if more := in.grant(ahead); m.Quiet && in.r.Buffered() == 0 || in.worth(more, ahead) {
		in.granted = more
		in.credit(more)
	}
	return nil
}

// credit adds a Credit to what goes out.
func (in *intake) credit(c wire.Credit) { in.out.b = wire.AppendCredit(in.out.b, wire.TypeCredit, c) }

// pressedAhead is how many bytes a UE may send ahead whose tenant is to let go of what it can.
const pressedAhead = 128 << 10

// ahead is how many bytes the UE may send before they are handled.
func (in *intake) ahead() uint64 {
	if in.memory.Pressed() {
		return uint64(min(in.bytes, pressedAhead))
	}
	return uint64(in.bytes)
}

// grant returns the credit that the messages taken so far allow, if the UE may send so many
// bytes ahead.
func (in *intake) grant(ahead uint64) wire.Credit {
	return wire.Credit{
		Messages: in.taken.Messages + uint64(in.Window),
		Bytes:    max(in.granted.Bytes, in.taken.Bytes+ahead),
		Done:     in.taken.Messages,
	}
}

// worth says whether the credit more is worth a frame: half of the last one is used.
func (in *intake) worth(more wire.Credit, ahead uint64) bool {
	return 2*(more.Messages-in.granted.Messages) >= uint64(in.Window) || 2*(more.Bytes-in.granted.Bytes) >= ahead
}

// handleNext handles m, which must be the next message. The frame that answers it goes out.
func (in *intake) handleNext(ctx context.Context, m wire.Message) error {
	in.using.acquire()
	defer in.using.release()
	if in.broken != nil { // by a Save: no message is to blame
		in.at = 0
		return in.broken
	}
	if m.Epoch < in.epoch || m.Seq != in.seq+1 {
		return protocol("message %d of epoch %d after %d of epoch %d", m.Seq, m.Epoch, in.seq, in.epoch)
	}
	in.epoch = m.Epoch
	if m.Skip {
		in.seq = m.Seq
		return nil
	}
	return in.handleLocked(ctx, m, in.payload.b, &in.out)
}

// handleLocked handles m in a far endpoint that is not broken, and leaves the frame that answers
// it in out.
func (a *attachment) handleLocked(ctx context.Context, m wire.Message, payload []byte, out *buffer) error {
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
	took := time.Since(begin)
	if err == nil && !m.Quiet {
		err = a.room(ctx, out, len(reply))
	}
	if err != nil {
		a.breakLocked(err)
		return err
	}
	a.seq = m.Seq
	if !m.Quiet {
		o := wire.Outcome{Epoch: m.Epoch, Seq: m.Seq, Status: byte(status), Run: took, Size: len(reply)}
		out.b = append(wire.AppendOutcome(out.b[:0], o), reply...)
	}
	return nil
}

// afterOutcome is room in a buffer for the header of an outcome of any size, and for a Credit.
const afterOutcome = 64

// room makes room in out for an outcome of n bytes. It waits for as long as a frame may take:
// without room the far endpoint's state is worth nothing, since its message has no answer.
func (a *attachment) room(ctx context.Context, out *buffer, n int) error {
	err := out.sizeWithin(ctx, a.memory, n+afterOutcome, wire.FrameTimeout)
	if err == nil {
		return nil
	}
	var f *wire.Fail
	if errors.As(err, &f) {
		return &wire.Fail{Code: f.Code, Started: true, Text: "outcome of a message: " + f.Text}
	}
	return err
}
