package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/executor/wazero"
	"github.com/bungee-xr/bungee/hostfunc/egress"
	"github.com/bungee-xr/bungee/hostfunc/egress/host"
	"github.com/bungee-xr/bungee/hostfunc/egress/host/testdata/flow"
	"github.com/bungee-xr/bungee/hostfunc/egress/internal/tcptest"
)

// Functions of the guest.
const (
	fnFlow = iota
	fnHang
)

// guestModule builds the guest in testdata and loads it.
func guestModule(t *testing.T) executor.Module {
	t.Helper()
	e, err := wazero.New(wazero.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return enginetest.Load(t, e, enginetest.BuildGo(t, "./testdata/guest"))
}

// instance makes an instance that may reach what r allows.
func instance(t *testing.T, m executor.Module, r egress.Rules, cfg host.Config) executor.Instance {
	t.Helper()
	return enginetest.Instance(t, m, host.Functions(r, cfg))
}

// TestGuest builds and compiles its guest once: that takes longer than the rest.
func TestGuest(t *testing.T) {
	m := guestModule(t)
	t.Run("Flow", func(t *testing.T) { testFlow(t, m) })
	t.Run("Deadline", func(t *testing.T) { testDeadline(t, m) })
	t.Run("Cancel", func(t *testing.T) { testCancel(t, m) })
}

// testFlow runs one source natively and in a guest and compares what it saw.
func testFlow(t *testing.T, m executor.Module) {
	web := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/large" {
			_, _ = w.Write(make([]byte, 5000))
			return
		}
		w.Header().Set("X-Seen", fmt.Sprint(r.Header["X-Mine"]))
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s %s", r.Method, body)
	})
	// The peer echoes, and ends with "bye".
	peer := tcptest.Listen(t, func(c net.Conn) {
		buf := make([]byte, 1000)
		for {
			n, err := c.Read(buf)
			if _, werr := c.Write(buf[:n]); err != nil || werr != nil || string(buf[:n]) == "bye" {
				return
			}
		}
	})
	const most = 4000
	denied := "127.0.0.1:1"
	r := rules{web, peer}
	native := egress.NewClient(egress.Config{Rules: r, Body: most})
	defer native.Close()
	egress.Use(native)
	defer egress.Use(nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	want := flow.Run(ctx, web, peer, denied)

	in := instance(t, m, r, host.Config{Body: most})
	call := &executor.Call{}
	reply, err := in.Call(executor.WithCall(ctx, call), fnFlow, []byte(web+" "+peer+" "+denied))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(reply.Payload)); diff != "" {
		t.Errorf("native (-) and guest (+) saw different things:\n%s", diff)
	}
	// 4003 bytes each way by TCP alone, and 5000 that came by HTTP.
	if b := in.Last(); b.NetIn < 9003 || b.NetOut < 4007 {
		t.Errorf("the bill has %d bytes in and %d out; want at least 9003 and 4007", b.NetIn, b.NetOut)
	}
}

// testDeadline has a read that hangs end with its call, and before it only by the time that a guest has to answer.
func testDeadline(t *testing.T, m executor.Module) {
	address := tcptest.Listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	in := instance(t, m, rules{address}, host.Config{})
	const limit = 100 * time.Millisecond
	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	reply, err := in.Call(ctx, fnHang, []byte(address))
	took := time.Since(begun)
	// A guest may take the host's flag, which is up by then, for a cancellation.
	answers := []string{context.DeadlineExceeded.Error(), context.Canceled.Error()}
	if err != nil && !errors.Is(err, executor.ErrDeadline) || err == nil && !slices.Contains(answers, string(reply.Payload)) {
		t.Errorf("the call gave %q, %v; want the deadline", reply.Payload, err)
	}
	if least := limit - executor.AnswerGrace(limit); took < least {
		t.Errorf("the call ended after %v; want at least %v", took, least)
	}
}

// testCancel has a cancelled call end at once, and leave the connection to the next one
// where the guest was quick enough to live on.
func testCancel(t *testing.T, m executor.Module) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	address := tcptest.Listen(t, func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, len("hello")))
		cancel()
		<-ended
		_, _ = c.Write([]byte("late"))
		_, _ = io.Copy(io.Discard, c)
	})
	in := instance(t, m, rules{address}, host.Config{})
	reply, err := in.Call(ctx, fnHang, []byte(address))
	close(ended)
	if ctx.Err() == nil {
		t.Fatalf("the call ended with %q, %v before it was cancelled", reply.Payload, err)
	}
	if err != nil { // it was stopped at the end of executor.CancelGrace
		if !errors.Is(err, executor.ErrCanceled) {
			t.Errorf("the call gave %v; want ErrCanceled", err)
		}
		return
	}
	if string(reply.Payload) != context.Canceled.Error() {
		t.Errorf("the guest saw %q; want %q", reply.Payload, context.Canceled)
	}
	if reply, err = in.Call(t.Context(), fnHang, nil); err != nil || string(reply.Payload) != "late" {
		t.Errorf("the next call read %q, %v; want late", reply.Payload, err)
	}
}
