package offloadtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// maxInputs is how many inputs a test makes; with -short a tenth.
const maxInputs = 200

// examples are the inputs that the package's own tests gave, by the Func that they are for.
var examples sync.Map

// Examples adds inputs for f to those that [Func] makes. Call it from an init function of
// the package's tests.
func Examples[In, Out any](f *codegen.Func[In, Out], inputs ...In) {
	old, _ := examples.Load(f)
	list, _ := old.([]In)
	examples.Store(f, append(list, inputs...))
}

// Func compares the native version of f with the one in m. Floating-point results may differ
// by ulp units in the last place; 0 means that they are the same to the bit.
func Func[In, Out any](t *testing.T, m *Module, f *codegen.Func[In, Out], ulp int) {
	t.Helper()
	m.run(t)
	c := comparison[In, Out]{f: f, ulp: ulp, in: instance{m: m}}
	defer c.in.close()
	var inputs []In
	if list, ok := examples.Load(f); ok {
		inputs = list.([]In)
	}
	for _, v := range inputs {
		c.compare(t, f.AppendIn(nil, v))
	}
	begin := time.Now()
	for n := range count() {
		if t.Failed() || time.Since(begin) > maxTest || c.left >= maxLeft {
			break
		}
		c.compare(t, f.AppendIn(nil, value[In](uint64(n))))
	}
	t.Logf("%s: %d inputs alike, %d of them errors and %d panics; %d discarded", f.Name, c.alike, c.errors, c.panics, c.discarded)
}

func count() int {
	if testing.Short() {
		return maxInputs / 10
	}
	return maxInputs
}

// Fuzz has the go command look for an input for which the native version of f and the
// one in m differ: go test -fuzz. The module's sources are looked at by [Open], not here.
func Fuzz[In, Out any](fz *testing.F, m *offload.Module, f *codegen.Func[In, Out], ulp int) {
	o, err := open(fz, m)
	if err != nil {
		fz.Fatal(err)
	}
	o.run(fz)
	for n := range maxInputs / 10 {
		fz.Add(f.AppendIn(nil, value[In](uint64(n))))
	}
	fz.Fuzz(func(t *testing.T, request []byte) {
		r := pack.NewReader(request)
		in := f.ReadIn(&r)
		if r.Done() != nil {
			t.Skip("not a request")
		}
		c := comparison[In, Out]{f: f, ulp: ulp, in: instance{m: o}}
		defer c.in.close()
		c.compare(t, f.AppendIn(nil, in))
	})
}

// A comparison is one in progress.
type comparison[In, Out any] struct {
	f   *codegen.Func[In, Out]
	ulp int
	in  instance

	alike, errors, panics int
	discarded             int
	left                  int // of them: those whose native version goes on
}

// A native is what a native version made of a request.
type native struct {
	reply []byte
	fault string // what is wrong with the function itself
}

// compare compares one input, as it is encoded.
func (c *comparison[In, Out]) compare(t testing.TB, request []byte) {
	t.Helper()
	there, err := c.in.call(c.f.Index, request)
	if discard(there, err) {
		c.discarded++
		return
	}
	here, ok := within(func() native { return c.native(request) })
	switch {
	case !ok:
		c.discarded++
		c.left++
	case here.fault != "":
		t.Errorf("%s%s %s", c.f.Name, c.show(request), here.fault)
	case err != nil:
		t.Errorf("%s%s: the module: %v; natively %s", c.f.Name, c.show(request), err, c.reply(request, here.reply))
	case !c.same(request, here.reply, there):
		t.Errorf("%s%s: natively %s, in the module %s", c.f.Name, c.show(request), c.reply(request, here.reply), c.reply(request, there))
	default:
		c.alike++
		c.count(abi.Status(there[0]))
	}
}

func (c *comparison[In, Out]) count(s abi.Status) {
	switch s {
	case abi.Both:
		c.errors++
	case abi.Panic:
		c.panics++
	}
}

// discard says whether what the module made of an input is about bounds of time and memory. A
// list that is too long for a module may be the end of a native process.
func discard(reply []byte, err error) bool {
	if len(reply) > 0 && abi.Status(reply[0]) == abi.Error {
		code, _, _ := abi.ParseError(reply[1:])
		return code == abi.CodeTooLarge
	}
	if len(reply) > 0 && abi.Status(reply[0]) == abi.Panic {
		return strings.HasSuffix(panicText(reply), " out of range") && strings.Contains(panicText(reply), "slice: ")
	}
	return errors.Is(err, executor.ErrDeadline) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, executor.ErrMemory) || errors.Is(err, executor.ErrTooLarge)
}

// within runs f, and says whether it ended in time. One that does not is left behind.
func within[T any](f func() T) (out T, ok bool) {
	done := make(chan T, 1) // one that is left behind ends, too
	go func() { done <- f() }()
	timeout := time.NewTimer(MaxTime)
	defer timeout.Stop()
	select {
	case out = <-done:
		return out, true
	case <-timeout.C:
		return out, false
	}
}

// native runs the native version on a request.
func (c *comparison[In, Out]) native(request []byte) (n native) {
	defer func() {
		if v := recover(); v != nil {
			n.reply = abi.AppendPanic([]byte{byte(abi.Panic)}, v)
		}
	}()
	r := pack.NewReader(request)
	in := c.f.ReadIn(&r)
	if err := r.Done(); err != nil {
		n.fault = "does not decode as it was encoded: " + err.Error()
		return n
	}
	if again := c.f.AppendIn(nil, in); !bytes.Equal(again, request) {
		n.fault = fmt.Sprintf("is another value after it crosses: %s", c.show(again))
		return n
	}
	if c.f.Carry != nil {
		c.f.Carry(in)
	}
	out, err := c.f.Native(context.Background(), in)
	after := c.f.AppendIn(nil, in)
	if name := c.f.Changed(request, after); name != "" {
		n.fault = fmt.Sprintf("has its parameter %s changed: %s, which a caller does not see from an edge host; change a copy and return it, or write inout=%[1]s in the mark to have the change carried back", name, c.show(after))
		return n
	}
	if c.f.Params == nil && !bytes.Equal(request, after) { // it was generated before parameters had names
		n.fault = fmt.Sprintf("has its parameters changed to %s, which a caller does not see from an edge host", c.show(after))
		return n
	}
	n.reply = c.f.AppendOut([]byte{byte(status(err))}, out)
	if c.f.AppendBack != nil {
		n.reply = c.f.AppendBack(n.reply, in)
	}
	if err != nil {
		n.reply = codegen.AppendError(n.reply, err)
	}
	return n
}

func status(err error) abi.Status {
	if err != nil {
		return abi.Both
	}
	return abi.OK
}

// same says whether two replies to a request are the same.
func (c *comparison[In, Out]) same(request, a, b []byte) bool {
	switch {
	case bytes.Equal(a, b):
		return true
	case len(a) == 0 || len(b) == 0 || a[0] != b[0]:
		return false
	case abi.Status(a[0]) == abi.Panic:
		return panicText(a) == panicText(b)
	case abi.Status(a[0]) == abi.Error:
		return false
	}
	x, okX := c.answered(request, a)
	y, okY := c.answered(request, b)
	return okX && okY && bytes.Equal(x.own, y.own) &&
		near(reflect.ValueOf(&x.out).Elem(), reflect.ValueOf(&y.out).Elem(), c.ulp) &&
		near(reflect.ValueOf(&x.in).Elem(), reflect.ValueOf(&y.in).Elem(), c.ulp)
}

// An answer is what is in a reply.
type answer[In, Out any] struct {
	out Out
	in  In     // what was sent, with what was carried back; zero where nothing is
	own []byte // the error as it is encoded
}

// answered reads a reply to a request.
func (c *comparison[In, Out]) answered(request, reply []byte) (a answer[In, Out], ok bool) {
	r := pack.NewReader(reply[1:])
	a.out = c.f.ReadOut(&r)
	if c.f.ReadBack != nil {
		sent := pack.NewReader(request)
		a.in = c.f.ReadIn(&sent)
		var back codegen.Back
		c.f.ReadBack(&r, a.in, &back)
		if back.Write() != nil {
			return a, false
		}
	}
	a.own = r.Rest()
	return a, r.Err() == nil
}

// panicText returns what a panic said, without the place, whose file the module has
// another path for.
func panicText(reply []byte) string {
	line, _ := abi.SplitPanic(reply[1:])
	if i := strings.LastIndex(line, " ("); i >= 0 && strings.HasSuffix(line, ")") {
		line = line[:i]
	}
	return line
}

// maxShown bounds how much of a value a message shows, in bytes.
const maxShown = 400

// show returns the value of a request, for people.
func (c *comparison[In, Out]) show(request []byte) string {
	r := pack.NewReader(request)
	return clip(fmt.Sprintf("(%+v)", c.f.ReadIn(&r)))
}

func clip(s string) string {
	if len(s) > maxShown {
		return s[:maxShown] + "..."
	}
	return s
}

// showBack returns the parameters after a call, for people, "" when nothing is carried back.
func (c *comparison[In, Out]) showBack(in In) string {
	if c.f.ReadBack == nil {
		return ""
	}
	return clip(fmt.Sprintf(" and the parameters (%+v)", in))
}

// showError returns the error behind a result, for people, "" for none.
func showError(own []byte) string {
	r := pack.NewReader(own)
	err := codegen.ReadError(&r)
	if len(own) == 0 || err == nil {
		return ""
	}
	return clip(fmt.Sprintf(" and the error %q (%x)", err.Error(), own))
}

// reply returns what a reply says, for people.
func (c *comparison[In, Out]) reply(request, b []byte) string {
	if len(b) == 0 {
		return "nothing"
	}
	switch abi.Status(b[0]) {
	case abi.OK, abi.Both:
		if a, ok := c.answered(request, b); ok {
			return clip(fmt.Sprintf("%+v", a.out)) + c.showBack(a.in) + showError(a.own)
		}
	case abi.Error:
		if code, text, err := abi.ParseError(b[1:]); err == nil {
			return clip(fmt.Sprintf("error %q, code %q", text, code))
		}
	case abi.Panic:
		return clip("panic: " + panicText(b))
	}
	return clip(fmt.Sprintf("reply %x", b))
}
