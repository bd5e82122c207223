package link_test

import (
	"context"
	"crypto/tls"
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

// lifelineHost says its address and a key, and holds lifelines until it is killed, or its
// parent is gone.
func lifelineHost() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	l := link.ListenTCP(ln, &tls.Config{}, nil)
	key, _ := l.LifelineKey()
	fmt.Printf("%v %x\n", l.Addr(), key)
	io.Copy(io.Discard, os.Stdin)
}

// startHost starts a lifelineHost and returns its process, address and key.
func startHost(t *testing.T) (cmd *exec.Cmd, addr string, key link.LifelineKey) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
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
	var b []byte
	if _, err := fmt.Fscanf(out, "%s %x\n", &addr, &b); err != nil {
		t.Fatal(err)
	}
	return cmd, addr, link.LifelineKey(b)
}

func TestKilledHostIsSeen(t *testing.T) {
	cmd, addr, key := startHost(t)
	l := dialLifeline(t, addr, key, 0)
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

func askLifeline(ctx context.Context, addr string, key link.LifelineKey, n uint32) (*link.Lifeline, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return link.AskLifeline(ctx, c, key, n)
}

func dialLifeline(t *testing.T, addr string, key link.LifelineKey, n uint32) *link.Lifeline {
	t.Helper()
	l, err := askLifeline(t.Context(), addr, key, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func listenLifeline(t *testing.T) (l *link.TCPListener, addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = link.ListenTCP(ln, &tls.Config{}, nil)
	t.Cleanup(func() { l.Close() })
	return l, l.Addr().String()
}

func TestListenerLetsGo(t *testing.T) {
	host, addr := listenLifeline(t)
	key, _ := host.LifelineKey()
	a := dialLifeline(t, addr, key, 0)
	if err := host.Close(); err != nil {
		t.Error(err)
	}
	<-a.Lost()
	if err := errors.Join(host.Close(), a.Close(), a.Close()); err != nil {
		t.Errorf("closing what is closed gave %v", err)
	}
}

func TestOwnCloseIsNoLoss(t *testing.T) {
	host, addr := listenLifeline(t)
	key, _ := host.LifelineKey()
	l := dialLifeline(t, addr, key, 0)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-l.Lost():
		t.Error("Lost is closed by the UE's own Close")
	default:
	}
}

// A host holds a lifeline only for a key that it gave, one at a time, and each ticket
// counts once.
func TestLifelinesNeedAKey(t *testing.T) {
	host, addr := listenLifeline(t)
	key, revoke := host.LifelineKey()
	refused := func(what string, key link.LifelineKey, n uint32) {
		t.Helper()
		if _, err := askLifeline(t.Context(), addr, key, n); err == nil || !strings.Contains(err.Error(), "does not hold") {
			t.Errorf("%s gave %v, want that the host does not hold it", what, err)
		}
	}
	refused("a key of nobody", link.LifelineKey{1}, 0)
	first := dialLifeline(t, addr, key, 3)
	refused("a ticket again", key, 3)
	refused("an earlier ticket", key, 2)
	select {
	case <-first.Lost():
		t.Fatal("what was refused ended the lifeline that is held")
	default:
	}
	second := dialLifeline(t, addr, key, 4)
	<-first.Lost()
	revoke()
	<-second.Lost()
	refused("a key that was revoked", key, 5)
}

// A host lets go who says something that it does not know.
func TestStrangersAreLetGo(t *testing.T) {
	_, addr := listenLifeline(t)
	for _, said := range []string{"GET / HTTP/1.1\r\n\r\n", "Lifeline, please, give me one of them", "\x16\x03\x01 is TLS, and the rest is not"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, said); err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(c); len(b) > 7 || len(b) > 0 && b[0] != 0x15 { // a reset, or an alert of TLS
			t.Errorf("to %q the host said %q", said, b)
		}
		c.Close()
	}
}

// FuzzTicket feeds the listener's first bytes.
func FuzzTicket(f *testing.F) {
	f.Add([]byte("L12345678\x00\x00\x00\x001234567890123456"))
	f.Add([]byte{0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		inWorld(t, func(t *testing.T, w *world) {
			w.listenTCP(t)
			w.tcp.LifelineKey()
			c := w.stream(t)
			c.Write(b)
			c.SetReadDeadline(time.Now().Add(4 * time.Second))
			got, err := io.ReadAll(c)
			if errors.Is(err, os.ErrDeadlineExceeded) || len(got) == 1 {
				t.Errorf("%x: the host said %x, %v; want an end within 3s", b, got, err)
			}
			c.Close()
		})
	})
}

func TestAskLifelineErrors(t *testing.T) {
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
	if _, err := askLifeline(ctx, silent.Addr().String(), link.LifelineKey{}, 0); !errors.Is(err, gone) {
		t.Errorf("a host that holds nothing gave %v, want the end of the context", err)
	}
}
