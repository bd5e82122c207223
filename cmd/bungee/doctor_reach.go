package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A tried is what came of dialling an address.
type tried struct {
	at   *net.UDPAddr
	conn *link.Conn // nil: none
	err  error
	took time.Duration
}

// answered says whether there is somebody at the address: a handshake that fails needs two.
func (r tried) answered() bool {
	return r.err == nil || errors.Is(r.err, link.ErrIdentity) || errors.Is(r.err, link.ErrVersion) || errors.Is(r.err, link.ErrHandshake)
}

// reach tries all addresses over UDP and TCP. It returns a connection, over UDP if possible, nil if
// there is none.
func (d *doctor) reach(ctx context.Context, at []*net.UDPAddr) *link.Conn {
	conf, seen := watched(d.conf)
	udp, tcp := make([]tried, len(at)), make([]tried, len(at))
	var wg sync.WaitGroup
	for i, a := range at {
		wg.Go(func() { udp[i] = dialUDP(ctx, a, conf) })
		wg.Go(func() { tcp[i] = dialTCP(ctx, a, conf) })
	}
	wg.Wait()
	if s := seen.Load(); s != nil && len(s.PeerCertificates) > 0 {
		d.host = s.PeerCertificates[0]
	}
	d.reached(udp, tcp)
	best := firstOf(udp, tcp)
	for _, r := range append(udp, tcp...) {
		if r.conn != nil && r.conn != best.conn {
			r.conn.Close("")
		}
	}
	if best.answered() {
		d.shaken(best, seen.Load())
	}
	return best.conn
}

// watched returns conf with a note of what the host has shown.
func watched(conf *tls.Config) (*tls.Config, *atomic.Pointer[tls.ConnectionState]) {
	conf, seen := conf.Clone(), new(atomic.Pointer[tls.ConnectionState])
	verify := conf.VerifyConnection
	conf.VerifyConnection = func(s tls.ConnectionState) error {
		seen.Store(&s)
		if verify != nil {
			return verify(s)
		}
		return nil
	}
	return conf, seen
}

func dialUDP(ctx context.Context, at *net.UDPAddr, conf *tls.Config) (r tried) {
	begin := time.Now()
	r.at = at
	pc, err := net.ListenUDP("udp", nil)
	if err != nil {
		r.err = err
		return r
	}
	r.conn, r.err = link.Dial(ctx, pc, at, conf)
	if r.err == nil { // over QUIC the host's refusal of our certificate comes after that
		r.err = welcomedBy(ctx, r.conn)
	}
	return r.ended(begin)
}

func dialTCP(ctx context.Context, at *net.UDPAddr, conf *tls.Config) (r tried) {
	begin := time.Now()
	r.at = at
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", at.String())
	if err != nil {
		r.err = link.Explain(err)
		return r.ended(begin)
	}
	r.conn, r.err = link.DialTCP(ctx, c, at, conf)
	if r.err == nil {
		r.err = welcomedBy(ctx, r.conn)
	}
	return r.ended(begin)
}

// ended closes a connection that failed.
func (r tried) ended(begin time.Time) tried {
	r.took = time.Since(begin)
	if r.err != nil && r.conn != nil {
		r.conn.Close("")
		r.conn = nil
	}
	return r
}

// welcomedBy waits for an answer to a ping: then the host has accepted the UE's certificate.
func welcomedBy(ctx context.Context, c *link.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	st, err := c.Open(ctx)
	if err == nil {
		_, err = control.Ping(ctx, st)
	}
	if err == nil {
		return nil
	}
	select {
	case <-c.Done():
		return link.Explain(c.Err())
	case <-ctx.Done():
	}
	if c.Err() != nil {
		return link.Explain(c.Err())
	}
	return link.Explain(err)
}

// firstOf returns the try that got furthest, over UDP if both did.
func firstOf(udp, tcp []tried) tried {
	all := append(append([]tried(nil), udp...), tcp...)
	for _, r := range all {
		if r.err == nil {
			return r
		}
	}
	for _, r := range all {
		if r.answered() {
			return r
		}
	}
	return all[0]
}

// reached says what answers over UDP and TCP.
func (d *doctor) reached(udp, tcp []tried) {
	byUDP, byTCP := d.line(udp), d.line(tcp)
	port := udp[0].at.Port
	switch {
	case byUDP.ok:
		d.ok("udp", "%s", byUDP.text)
	case byTCP.ok:
		d.bad("udp", fmt.Sprintf("let UDP port %d pass in the firewalls between here and there; until then sessions go over TCP, where a lost packet holds up all", port), "%s", byUDP.text)
	default:
		d.bad("udp", fmt.Sprintf("see whether the host runs (there: systemctl status bungee), listens at this address, and firewalls let UDP and TCP port %d pass", port), "%s", byUDP.text)
	}
	switch {
	case byTCP.ok:
		d.ok("tcp", "%s", byTCP.text)
	case byUDP.ok:
		d.bad("tcp", fmt.Sprintf("let TCP port %d pass in firewalls, and see whether the host has it (its log says \"no TCP\", or it runs with tcp = false); without it there is no lifeline, and no way where UDP is blocked", port), "%s", byTCP.text)
	case strings.Contains(byTCP.text, "begins with"): // package link quotes what is there
		d.bad("tcp", occupied, "%s", byTCP.text)
	default:
		d.bad("tcp", "as above", "%s", byTCP.text)
	}
}

// A reply is a line about one transport.
type reply struct {
	ok   bool
	text string
}

// line sums up the tries of one transport. One address that answers will do: a UE takes that.
func (d *doctor) line(all []tried) (r reply) {
	var good, silent []string
	for _, t := range all {
		if t.answered() {
			good = append(good, fmt.Sprintf("%s answers in %s", t.at, short(t.took)))
		} else {
			silent = append(silent, fmt.Sprintf("%s: %s", t.at, plain(t.err)))
		}
	}
	if r.ok = len(good) > 0; r.ok && len(silent) > 0 {
		return reply{true, strings.Join(good, ", ") + " (not " + strings.Join(silent, "; ") + ")"}
	}
	return reply{r.ok, strings.Join(append(good, silent...), ", ")}
}

// plain returns err in the words of an operator.
func plain(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there"
	case errors.Is(err, context.DeadlineExceeded):
		return link.ErrNoAnswer.Error()
	}
	return err.Error()
}

func short(t time.Duration) time.Duration {
	if t < 10*time.Millisecond {
		return t.Round(10 * time.Microsecond)
	}
	return t.Round(time.Millisecond)
}

// shaken says how the handshake ended, and what is in the host's certificate.
func (d *doctor) shaken(r tried, s *tls.ConnectionState) {
	var cert *link.CertificateError
	switch {
	case errors.Is(r.err, link.ErrVersion):
		d.bad("version", "install the same release of Bungee at both ends; here: bungee version", "%v", r.err)
	case errors.As(r.err, &cert):
		d.bad("certificate", cureOf(cert), "%v%s", r.err, d.shown())
	case r.err != nil:
		d.bad("handshake", occupied, "%v", r.err)
	default:
		d.ok("handshake", "over %s, TLS 1.3, in %s", r.conn.Transport(), short(r.took))
		d.ok("version", "both speak %s", wire.ALPN)
		d.certificate(s)
	}
}

const occupied = "see whether something else than bungee host has the port: there, ss -lunpt"

// cureOf says what to do about a certificate that is not accepted.
func cureOf(e *link.CertificateError) string {
	whose := "the host's"
	if e.Ours {
		whose = "this UE's"
	}
	switch e.Fault {
	case link.Expired, link.NotYetValid, link.OutOfTime:
		return "see whether the clocks are right at both ends (timedatectl); if they are, renew " + whose + " certificate"
	case link.OtherAuthority:
		return "both ends must have certificates of one authority: take ca.pem, ue.pem and ue.key from who runs the host"
	case link.Revoked:
		return "whoever runs the authority has revoked it: ask for another one"
	case link.NoID, link.TooLong:
		return "make another one with bungee ca issue, in place of " + whose
	case link.WrongRole, link.WrongUse:
		return "what answers is no edge host of this authority, or has a UE's files: see what is in its folder of certificates"
	case link.Missing:
		return "name the folder with this UE's certificate with --certs DIR"
	}
	return "the host's log says what it does not accept (there: journalctl -u bungee); most often " + whose + " certificate is of another authority"
}

// shown names the certificate that the host has shown, if it did.
func (d *doctor) shown() string {
	if d.host == nil {
		return ""
	}
	return fmt.Sprintf("; the host shows that of %.300q, signed by %.300q", nameOf(d.host), d.host.Issuer.CommonName)
}

const day = "2006-01-02"

// certificate looks at the dates of a host's certificate that is accepted.
func (d *doctor) certificate(s *tls.ConnectionState) {
	if d.host == nil {
		return
	}
	left := time.Until(d.host.NotAfter)
	if left < 30*24*time.Hour {
		d.bad("certificate", "renew the host's certificate", "that of %.300q ends on %s, in %d days", nameOf(d.host), d.host.NotAfter.UTC().Format(day), int(left.Hours()/24))
		return
	}
	d.ok("certificate", "of %.300q, signed by %.300q, until %s", nameOf(d.host), d.host.Issuer.CommonName, d.host.NotAfter.UTC().Format(day))
}

// maxSkew is how far apart the clocks may be: less than what certificates allow, and more than a
// slow network makes of nothing.
const maxSkew = time.Minute

// session opens one, and compares the clocks.
func (d *doctor) session(ctx context.Context, c *link.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	begin := time.Now()
	st, err := c.Open(ctx)
	var w wire.Welcome
	if err == nil {
		w, err = control.Hello(ctx, st, wire.Hello{Name: "doctor"})
	}
	if err != nil {
		d.bad("session", "the host's log says why (there: journalctl -u bungee)", "the host opens none: %v", link.Explain(err))
		return false
	}
	middle := begin.Add(time.Since(begin) / 2)
	d.clock(w.Now, middle)
	d.ok("session", "with host %.255q, which runs %d calls at once", w.Name, w.Cores)
	return true
}

// clock compares the host's clock with what it was here then.
func (d *doctor) clock(host int64, here time.Time) {
	if host == 0 {
		d.ok("clock", "not told: the host is of an earlier release")
		return
	}
	ahead := time.UnixMilli(host).Sub(here)
	if ahead.Abs() <= maxSkew {
		d.ok("clock", "the same to %s", max(ahead.Abs().Round(10*time.Millisecond), 10*time.Millisecond))
		return
	}
	side := "ahead of"
	if ahead < 0 {
		side = "behind"
	}
	d.bad("clock", "set the clock that is wrong, or certificates are refused sooner or later: timedatectl set-ntp true", "that of the host is %s %s this one", ahead.Abs().Round(time.Second), side)
}
