// Package codegen is what the code that offloadgen writes uses. Applications do not
// call it: they call the elastic functions and open the channels that offloadgen
// wrote.
package codegen

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/pack"
)

// GeneratedV3 is a constant that generated code refers to. If it is missing, the generated
// code was made for another version of this module: run "go generate" again.
const GeneratedV3 = 3

// A Func is an elastic function: the native version, and codecs for what crosses the
// network. In and Out are the marked function's parameter and result, or structs of
// them if it has several.
type Func[In, Out any] struct {
	offload.Desc
	// Native is the marked function.
	Native func(context.Context, In) (Out, error)
	// AppendIn and ReadIn are the codec of In.
	AppendIn func([]byte, In) []byte
	ReadIn   func(*pack.Reader) In
	// AppendOut and ReadOut are the codec of Out.
	AppendOut func([]byte, Out) []byte
	ReadOut   func(*pack.Reader) Out
	// Params are the parameters in In, in its order. Nil if none refers to memory of the caller.
	Params []Param
	// AppendBack and ReadBack are the codec of what In's parameters with InOut refer to, which
	// a reply has behind Out, and Aliased says whether that is memory of another parameter,
	// too. They are nil where there is nothing of the kind.
	AppendBack func([]byte, In) []byte
	ReadBack   func(*pack.Reader, In, *Back)
	Aliased    func(In) bool
	// Carry sets the variables that cross behind the parameters, in a guest. Nil if there are none.
	Carry func(In)
}

// Call runs the function where the router says, and natively if no router is in use.
//
// When a call to an edge host gives no result and may be repeated, because it
// never started there or because the function is idempotent, it runs natively, and
// Trace.Fallback says why. If it may not be repeated, the error is an [offload.CallError].
// A function that panics gives one, too, wherever it ran. An error that the function itself
// returned comes with the value that it returned beside it; from an edge host it is what
// [ReadError] makes of it. A local call costs no allocation and copies nothing.
//
// What the function wrote to memory that its mark carries back is written to the caller's
// memory once the whole reply is read, with an error of the function's own as without one. A call that
// fails on an edge host in another way leaves it as it was. One whose parameters share such memory runs natively.
//
// With BUNGEE_CHECK=1 in the environment a native run fails that changes what its parameters refer
// to, where the mark does not have that carried back.
//
// An idempotent function may also be begun natively while the edge host has not answered; see hedge.
func (f *Func[In, Out]) Call(ctx context.Context, in In) (Out, error) {
	w := route.Find(&f.Desc)
	if w == nil || w.Caller == nil {
		return f.here(ctx, in, w, nil)
	}
	if err := f.apart(in); err != nil {
		return f.here(ctx, in, w, err)
	}
	out, ran, err := f.there(ctx, in, w)
	if err == nil || ran || ctx.Err() != nil || !route.MayRepeat(err, f.Idempotent) {
		return out, err
	}
	return f.here(ctx, in, w, err)
}

// here runs the native version. Failed is why an edge host, which was asked first, gave no result.
func (f *Func[In, Out]) here(ctx context.Context, in In, w *route.Way, failed error) (Out, error) {
	t := offload.TraceOf(ctx)
	timed := w != nil && w.Account != nil && w.Account.Times()
	if t == nil && !timed {
		return f.native(ctx, in)
	}
	begin := route.Now()
	out, err := f.native(ctx, in)
	took := route.Now() - begin
	if timed {
		w.Account.Ran(took)
	}
	if t != nil {
		*t = offload.Trace{Fallback: failed, Why: reason(w), Run: took}
		if failed == nil && w != nil {
			t.Fallback = w.Fallback
		}
	}
	return out, err
}

// native runs the native version. A panic is an error, as it is on an edge host.
func (f *Func[In, Out]) native(ctx context.Context, in In) (out Out, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &offload.CallError{Func: f.Name, Code: offload.CodePanicked, Fate: offload.Ended, Err: offload.PanicError(abi.PanicLine(v))}
		}
	}()
	if checks && f.Params != nil {
		return f.checked(ctx, in)
	}
	return f.Native(ctx, in)
}

// reason returns why a call runs where it does.
func reason(w *route.Way) string {
	if w == nil || w.Account == nil {
		return ""
	}
	return w.Account.Reason(w.Why)
}

// there runs the Wasm version. It writes the request behind room for the header, so
// that header and request go out without a copy. If ran, err is that of a native run beside.
func (f *Func[In, Out]) there(ctx context.Context, in In, w *route.Way) (out Out, ran bool, err error) {
	begin := time.Now()
	frame := frames.Get().(*[]byte)
	defer frames.Put(frame)
	*frame = f.AppendIn(append((*frame)[:0], make([]byte, route.Room)...), in)
	encoded := time.Since(begin)
	if w.Hedge > 0 && f.Idempotent {
		return f.hedged(ctx, *frame, in, w, begin, encoded)
	}
	out, t, err := f.exchange(ctx, *frame, in, w, begin, encoded)
	f.tell(ctx, w, &t, time.Since(begin))
	return out, false, err
}

// exchange sends a request, and reads the result, also into the memory of in. Its trace has the bytes of an answer only
// if there was one.
func (f *Func[In, Out]) exchange(ctx context.Context, frame []byte, in In, w *route.Way, begin time.Time, encoded time.Duration) (out Out, t offload.Trace, err error) {
	sent := begin.Add(encoded)
	reply, err := w.Caller.Call(ctx, &f.Desc, frame)
	back := time.Now()
	if err != nil {
		f.awaitDeadline(ctx, begin, err)
		return out, offload.Trace{Host: hostOf(err), Encode: encoded, Network: back.Sub(sent)}, err
	}
	defer reply.Release()
	out, err = f.result(reply, in)
	t = offload.Trace{
		Host:    reply.Host,
		Encode:  encoded,
		Network: back.Sub(sent) - reply.Queue - reply.Run,
		Queue:   reply.Queue, Run: reply.Run,
		Decode:  time.Since(back),
		Spans:   slices.Clone(reply.Spans),
		BytesUp: reply.BytesUp, BytesDown: reply.BytesDown,
	}
	f.awaitDeadline(ctx, begin, err)
	return out, t, err
}

// hostOf returns the host of a call that gave no result.
func hostOf(err error) string {
	var ce *offload.CallError
	if errors.As(err, &ce) {
		return ce.Host
	}
	return ""
}

// maxEarly bounds how much earlier than the caller's deadline an edge host tells of it: a
// guest function has a grace to answer in, at the end of its time.
const maxEarly = 50 * time.Millisecond

// awaitDeadline waits for the end of ctx, if err is the end of its time, and not that of the
// function's mark, and that is near: natively nobody hears of a deadline before it has passed.
func (f *Func[In, Out]) awaitDeadline(ctx context.Context, begin time.Time, err error) {
	if err == nil || !errors.Is(err, context.DeadlineExceeded) {
		return
	}
	by, ok := ctx.Deadline()
	if ok && time.Until(by) < maxEarly && (f.Deadline == 0 || by.Sub(begin) <= f.Deadline) {
		<-ctx.Done()
	}
}

// tell tells those who ask how a call on an edge host was: the account, if there was an
// answer, which may be an error of the function.
func (f *Func[In, Out]) tell(ctx context.Context, w *route.Way, t *offload.Trace, took time.Duration) {
	if w.Account != nil && t.BytesDown > 0 {
		w.Account.Answered(t, took)
	}
	if to := offload.TraceOf(ctx); to != nil {
		t.Why = reason(w)
		*to = *t
	}
}

// result reads what the guest function answered, and writes to the memory of in what was carried back.
func (f *Func[In, Out]) result(reply *route.Reply, in In) (out Out, err error) {
	r := pack.NewReader(reply.Payload)
	switch reply.Status {
	case abi.OK:
		out = f.ReadOut(&r)
		back := f.readBack(&r, in)
		if err := cmp.Or(r.Done(), back.fault()); err != nil {
			return out, f.failed(reply, offload.CodeProtocol, offload.Ended, err)
		}
		back.write()
		return out, nil
	case abi.Both:
		out = f.ReadOut(&r)
		back := f.readBack(&r, in)
		own := ReadError(&r)
		if err := cmp.Or(r.Done(), back.fault()); err != nil || own == nil {
			return out, f.failed(reply, offload.CodeProtocol, offload.Ended, cmp.Or(err, abi.ErrReply))
		}
		back.write()
		return out, own
	case abi.Error:
		return out, f.refused(reply)
	}
	return out, f.failed(reply, offload.CodePanicked, offload.Ended, panicked(reply.Payload))
}

func (f *Func[In, Out]) failed(reply *route.Reply, code offload.Code, fate offload.Fate, err error) error {
	return &offload.CallError{Func: f.Name, Host: reply.Host, Code: code, Fate: fate, Err: err}
}

// refused returns the error of a reply of status Error: that of a function that is not
// written in Go, or of a guest that did not run its function or has no room for what it
// returned.
func (f *Func[In, Out]) refused(reply *route.Reply) error {
	code, text, err := abi.ParseError(reply.Payload)
	remote := simple(code, text)
	switch {
	case err != nil:
		return f.failed(reply, offload.CodeProtocol, offload.Ended, err)
	case code == abi.CodeTooLarge:
		return f.failed(reply, offload.CodeTooLarge, offload.Ended, remote)
	case code == abi.CodeRequest:
		return f.failed(reply, offload.CodeProtocol, offload.NotStarted, remote)
	}
	return remote
}

// panicked returns the error in the payload of a panic's reply.
func panicked(payload []byte) offload.PanicError {
	line, _ := abi.SplitPanic(payload)
	return offload.PanicError(line)
}

// readError reads an error of an endpoint, in the form that any guest can give it.
func readError(payload []byte) (remote, broken error) {
	code, text, err := abi.ParseError(payload)
	if err != nil {
		return nil, err
	}
	return simple(code, text), nil
}

// simple returns an error that has a code and a text only.
func simple(code, text string) error {
	e := &offload.RemoteError{Text: text}
	if code != "" {
		e.Codes = []string{code}
	}
	return e
}

// Serve runs the native version on a request and appends the reply to dst, as
// the guest ABI has it. Guests serve their calls with it. A request of [pack.OwnedSize] or
// more is given away: it belongs to the function. Serve keeps no smaller one, and not dst.
func (f *Func[In, Out]) Serve(ctx context.Context, request, dst []byte) []byte {
	r := pack.NewOwnedReader(request)
	in := f.ReadIn(&r)
	if err := r.Done(); err != nil {
		return abi.AppendError(append(dst, byte(abi.Error)), abi.CodeRequest, "request of "+f.Name+": "+err.Error())
	}
	if f.Carry != nil {
		f.Carry(in) // an instance serves one call at a time
	}
	out, err := f.Native(ctx, in)
	if err != nil {
		return AppendError(f.appendBack(f.AppendOut(append(dst, byte(abi.Both)), out), in), err)
	}
	return f.appendBack(f.AppendOut(append(dst, byte(abi.OK)), out), in)
}

// frames holds requests between calls: a video frame is about 50 KB.
var frames = sync.Pool{New: func() any { return new([]byte) }}
