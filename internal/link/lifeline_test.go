package link_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
)

// childEnv makes the test binary a host that holds lifelines.
const childEnv = "BUNGEE_TEST_LIFELINE_HOST"

// lifelineHost says its address and holds lifelines until it is killed, or its
// parent is gone.
func lifelineHost() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	l := link.ListenLifeline(ln)
	fmt.Println(l.Addr())
	io.Copy(io.Discard, os.Stdin)
}

// startHost starts a lifelineHost and returns its process and address.
func startHost(t *testing.T) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(addr)
}

func TestKilledHostIsSeen(t *testing.T) {
	cmd, addr := startHost(t)
	l := dialLifeline(t, addr)
	select {
	case <-l.Lost():
		t.Fatal("lost while the host lives")
	default:
	}
	begin := time.Now()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-l.Lost()
	t.Logf("seen %v after kill -9 was asked for", time.Since(begin))
}

func dialLifeline(t *testing.T, addr string) *link.Lifeline {
	t.Helper()
	l, err := link.DialLifeline(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func listenLifeline(t *testing.T) *link.LifelineListener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := link.ListenLifeline(ln)
	t.Cleanup(func() { l.Close() })
	return l
}

func TestListenerLetsGo(t *testing.T) {
	host := listenLifeline(t)
	a, b := dialLifeline(t, host.Addr().String()), dialLifeline(t, host.Addr().String())
	if err := host.Close(); err != nil {
		t.Error(err)
	}
	<-a.Lost()
	<-b.Lost()
	if err := errors.Join(host.Close(), a.Close(), a.Close()); err != nil {
		t.Errorf("closing what is closed gave %v", err)
	}
}

func TestOwnCloseIsNoLoss(t *testing.T) {
	l := dialLifeline(t, listenLifeline(t).Addr().String())
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-l.Lost():
		t.Error("Lost is closed by the UE's own Close")
	default:
	}
}

func TestTalkingUEIsLetGo(t *testing.T) {
	c, err := net.Dial("tcp", listenLifeline(t).Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(c); len(b) != 1 { // an error, too, is an end: unread bytes make it a reset
		t.Errorf("the host sent %q, want the one byte that says it holds", b)
	}
}

func TestLifelinesAreBounded(t *testing.T) {
	addr := listenLifeline(t).Addr().String()
	var all []*link.Lifeline
	for range 256 {
		all = append(all, dialLifeline(t, addr))
	}
	if _, err := link.DialLifeline(t.Context(), addr); err == nil || !strings.Contains(err.Error(), "holds no more") {
		t.Errorf("lifeline 257 of one address gave %v, want that the host holds no more", err)
	}
	for _, l := range all {
		l.Close()
	}
	// The host sees each end in its own time.
	for {
		l, err := link.DialLifeline(t.Context(), addr)
		if err == nil {
			l.Close()
			return
		}
	}
}

func TestDialLifelineErrors(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody holds
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	go func() {
		c, err := silent.Accept()
		if err == nil {
			cancel(gone)
			<-ctx.Done()
			c.Close()
		}
	}()
	if _, err := link.DialLifeline(ctx, silent.Addr().String()); !errors.Is(err, gone) {
		t.Errorf("a host that holds nothing gave %v, want the end of the context", err)
	}
}
