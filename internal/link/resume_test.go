package link_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
)

// A porter accepts connections and echoes their streams, until its listener ends.
type porter struct {
	wg    sync.WaitGroup
	conns chan *link.Conn // as they came; cap 16: more than a test makes
}

func startPorter(l *link.Listener) *porter {
	p := &porter{conns: make(chan *link.Conn, 16)}
	p.wg.Go(func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			p.conns <- c
			p.wg.Go(func() { echo(c) })
		}
	})
	return p
}

// ask sends text on a stream and returns what comes back.
func ask(ctx context.Context, ue *link.Conn, text string) (answer string, err error) {
	err = ue.Early(ctx, func(st link.Stream) error {
		if _, err := st.Write([]byte(text)); err != nil {
			return err
		}
		st.Close()
		b, err := io.ReadAll(st)
		answer = string(b)
		return err
	})
	return answer, err
}

// first dials from a fresh port and asks. It returns the connection and the time
// from dial to answer.
func (w *world) first(t *testing.T, port int) (*link.Conn, time.Duration) {
	t.Helper()
	begin := time.Now()
	ue, err := link.Dial(t.Context(), w.air.Endpoint(&net.UDPAddr{IP: ueAddr.IP, Port: port}), hostAddr, w.ue)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ue.Close("") })
	got, err := ask(t.Context(), ue, "hello")
	if err != nil || got != "hello" {
		t.Errorf("the host answers %q, %v; want hello", got, err)
	}
	return ue, time.Since(begin)
}

// meet is a first connection, after which the UE knows the host. It returns what
// serves the host.
func (w *world) meet(t *testing.T) *porter {
	t.Helper()
	w.ue.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	p := startPorter(w.listener)
	ue, took := w.first(t, 100)
	if ue.Resumed() || took != 40*time.Millisecond {
		t.Errorf("the first connection: resumed %v, %v to the first answer; want two round trips of 20 ms", ue.Resumed(), took)
	}
	if c := <-p.conns; c.Peer().Name != "headset" || c.Resumed() {
		t.Errorf("the host sees %q, resumed %v", c.Peer(), c.Resumed())
	}
	time.Sleep(time.Second) // the ticket arrives
	ue.Close("")
	time.Sleep(time.Second)
	return p
}

// A UE that was there before has its first answer after one round trip.
func TestResume(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.meet(t)
		ue, took := w.first(t, 101)
		host := <-p.conns
		t.Logf("first answer after %v, %v without", took, 40*time.Millisecond)
		if took != 20*time.Millisecond {
			t.Errorf("first answer after %v, want one round trip of 20 ms", took)
		}
		<-ue.Confirmed()
		<-host.Confirmed()
		if !ue.Resumed() || !host.Resumed() || ue.Peer().Name != "edge-1" || host.Peer().Name != "headset" {
			t.Errorf("resumed: UE %v, host %v; the UE sees %q, the host %q", ue.Resumed(), host.Resumed(), ue.Peer(), host.Peer())
		}
	})
}

// What a stream of Open carries may not be sent twice, so it goes out after the handshake: nobody can record it as early data and repeat it.
func TestOpenWaitsForTheHandshake(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.meet(t)
		ue, err := link.Dial(t.Context(), w.air.Endpoint(&net.UDPAddr{IP: ueAddr.IP, Port: 101}), hostAddr, w.ue)
		if err != nil {
			t.Fatal(err)
		}
		defer ue.Close("")
		select {
		case <-ue.Confirmed():
			t.Fatal("the handshake is done, so the test shows nothing")
		default:
		}
		given, cancel := context.WithCancelCause(t.Context())
		why := errors.New("given up")
		cancel(why)
		if _, err := ue.Open(given); !errors.Is(err, why) {
			t.Errorf("Open that is given up: %v, want %v", err, why)
		}
		begin := time.Now()
		if _, err := ue.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ue.Confirmed():
		default:
			t.Errorf("Open returns after %v, before the handshake is done", time.Since(begin))
		}

		lost, err := link.Dial(t.Context(), w.air.Endpoint(&net.UDPAddr{IP: ueAddr.IP, Port: 102}), hostAddr, w.ue)
		if err != nil {
			t.Fatal(err)
		}
		lost.Close("")
		if _, err := lost.Open(t.Context()); err == nil {
			t.Error("Open on a connection that has ended before its handshake: no error")
		}
	})
}

// The host knows who it is before the handshake is done, and that it is not done.
func TestEarlyPeer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.meet(t)
		var wg sync.WaitGroup
		wg.Go(func() {
			c := <-p.conns
			select {
			case <-c.Confirmed():
				t.Error("the host accepted after the handshake only")
			default:
			}
			if c.Peer().Name != "headset" || !c.Resumed() {
				t.Errorf("the host sees %q, resumed %v", c.Peer(), c.Resumed())
			}
		})
		w.first(t, 101)
		wg.Wait()
	})
}

// A host whose process is another one takes nothing early, and nobody notices.
func TestRefusedEarlyIsSentAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.meet(t)
		again := w.hostTLS.Clone()
		again.SetSessionTicketKeys([][32]byte{{2}}) // each process makes its own
		w.restart(t, again)
		p := startPorter(w.listener)
		ue, took := w.first(t, 101)
		t.Logf("first answer after %v", took)
		if ue.Resumed() || took != 40*time.Millisecond {
			t.Errorf("resumed %v, first answer after %v; want the two round trips of a first connection", ue.Resumed(), took)
		}
		if got, err := ask(t.Context(), ue, "more"); got != "more" || err != nil {
			t.Errorf("then the host answers %q, %v", got, err)
		}
		if !ue.Stale() {
			t.Error("the connection does not say that it cannot change its path")
		}
		if c := <-p.conns; c.Peer().Name != "headset" {
			t.Errorf("the host sees %q", c.Peer())
		}
		if len(p.conns) != 0 {
			t.Error("the host got a second connection")
		}
	})
}

// A ticket is worth what the certificate behind it is: a host that has another
// authority since then does not take it, with the same ticket keys, too.
func TestTicketOfAnotherAuthority(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.hostTLS.SetSessionTicketKeys([][32]byte{{1}})
		w.restart(t, w.hostTLS)
		w.meet(t)
		w.restart(t, w.hostTLS.Clone())
		startPorter(w.listener)
		if ue, _ := w.first(t, 101); !ue.Resumed() {
			t.Fatal("a host with the same keys and authority did not resume; the test shows nothing")
		}

		stranger := w.hostTLS.Clone()
		stranger.ClientCAs = config(t, authority(t), identity.Host, "other").ClientCAs
		w.restart(t, stranger)
		p := startPorter(w.listener)
		ue, err := link.Dial(t.Context(), w.air.Endpoint(&net.UDPAddr{IP: ueAddr.IP, Port: 102}), hostAddr, w.ue)
		if err == nil {
			_, err = ask(t.Context(), ue, "hello")
			ue.Close("")
		}
		if err = link.Explain(err); !errors.Is(err, link.ErrIdentity) {
			t.Errorf("got %v, want ErrIdentity", err)
		}
		if len(p.conns) != 0 {
			t.Error("the host accepted a UE of another authority")
		}
	})
}

// Two hosts have the same name in their certificates, and their tickets are apart.
func TestTicketsOfTwoHosts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.meet(t)
		second := &net.UDPAddr{IP: net.IPv4(10, 0, 0, 3), Port: 1}
		l, err := link.Listen(w.air.Endpoint(second), w.hostTLS.Clone())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		startPorter(l)
		c, err := link.Dial(t.Context(), w.air.Endpoint(&net.UDPAddr{IP: ueAddr.IP, Port: 200}), second, w.ue)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-c.Confirmed():
		default:
			t.Error("a ticket of the first host was tried at the second")
		}
		time.Sleep(time.Second)
		c.Close("")
		if ue, _ := w.first(t, 101); !ue.Resumed() {
			t.Error("the second host's ticket took the place of the first one's")
		}
		<-p.conns
	})
}

// Two connections of a UE that resume at once share the ticket and no memory. Only the race
// detector shows what was wrong.
func TestTwoResumeAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.meet(t)
		var both sync.WaitGroup
		for port := range 2 {
			both.Go(func() {
				ue, err := link.Dial(t.Context(), w.air.Endpoint(&net.UDPAddr{IP: ueAddr.IP, Port: 101 + port}), hostAddr, w.ue)
				if err != nil {
					t.Error(err)
					return
				}
				defer ue.Close("")
				if got, err := ask(t.Context(), ue, "hello"); got != "hello" || err != nil || !ue.Resumed() {
					t.Errorf("the host answers %q, %v, resumed %v; want hello on a resumed connection", got, err, ue.Resumed())
				}
			})
		}
		both.Wait()
		<-p.conns
		<-p.conns
	})
}

// A recorder keeps what a UE sends before it has heard anything.
type recorder struct {
	air *radio.Air

	mu     sync.Mutex
	inside simnet.PacketReceiver
	heard  bool
	sent   []simnet.Packet
}

// AddNode implements simnet.Router.
func (r *recorder) AddNode(addr net.Addr, inside simnet.PacketReceiver) {
	r.inside = inside
	r.air.AddNode(addr, r)
}

// SendPacket implements simnet.Router.
func (r *recorder) SendPacket(p simnet.Packet) error {
	r.mu.Lock()
	if !r.heard {
		r.sent = append(r.sent, p)
	}
	r.mu.Unlock()
	return r.air.SendPacket(p)
}

// RecvPacket implements simnet.PacketReceiver.
func (r *recorder) RecvPacket(p simnet.Packet) {
	r.mu.Lock()
	r.heard = true
	r.mu.Unlock()
	r.inside.RecvPacket(p)
}

// An attacker who sends again what a UE sent early gets a connection that is never
// confirmed: nothing but what may be repeated happens there, and it ends.
func TestReplayIsNeverConfirmed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.meet(t)
		tape := &recorder{air: w.air}
		ue, err := link.Dial(t.Context(), simnet.NewBlockingSimConn(&net.UDPAddr{IP: ueAddr.IP, Port: 101}, tape), hostAddr, w.ue)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ask(t.Context(), ue, "hello"); got != "hello" || err != nil {
			t.Fatalf("the host answers %q, %v", got, err)
		}
		<-(<-p.conns).Confirmed()
		ue.Close("")
		time.Sleep(time.Minute) // the host forgets the connection

		attacker := w.air.Endpoint(&net.UDPAddr{IP: net.IPv4(10, 6, 6, 6), Port: 1})
		defer attacker.Close()
		go io.Copy(io.Discard, packetReader{attacker})
		for _, packet := range tape.sent {
			if _, err := attacker.WriteTo(packet.Data, hostAddr); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(100 * time.Millisecond)
		select {
		case c := <-p.conns:
			select {
			case <-c.Confirmed():
				t.Error("the replay was confirmed")
			case <-c.Done():
			}
			t.Logf("the replay got as far as a connection of %q, which ended with: %v", c.Peer(), c.Err())
		default:
			t.Log("the host took no replay")
		}
	})
}

type packetReader struct{ net.PacketConn }

func (r packetReader) Read(b []byte) (int, error) {
	n, _, err := r.ReadFrom(b)
	return n, err
}

// A UE that uses no cache has what it had.
func TestNoCacheNoTicket(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		startPorter(w.listener)
		for port := range 3 {
			ue, took := w.first(t, 100+port)
			select {
			case <-ue.Confirmed():
			default:
				t.Error("dial returned before the handshake was done")
			}
			if ue.Resumed() || took != 40*time.Millisecond {
				t.Errorf("resumed %v, first answer after %v", ue.Resumed(), took)
			}
			time.Sleep(time.Second)
		}
	})
}

// A host that is back on its port after its process has ended says so to the
// UEs that it does not know any more.
func TestRestartIsSeen(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ue, _ := w.dial(t, w.air.Endpoint(ueAddr))
		w.restart(t, w.hostTLS)
		st, err := ue.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		st.Write(make([]byte, 100))
		<-ue.Done()
		t.Logf("seen %v after the UE sent", time.Since(begin))
		if err := ue.Err(); !errors.Is(err, link.ErrRestarted) || time.Since(begin) > 100*time.Millisecond {
			t.Errorf("%v after %v; want ErrRestarted after a round trip", err, time.Since(begin))
		}
	})
}
