package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// ErrExpired says that a certificate can no longer be used.
var ErrExpired = errors.New("it has expired")

// notice is how long before its end a certificate is warned of, or a third of its life.
const notice = 30 * 24 * time.Hour

// CheckDates says what is wrong with the dates of conf's certificate: ErrExpired; that it is
// not valid yet; or that it ends within 30 days, which is a warning. It returns nil when
// nothing is, or when conf does not say which certificate it will use.
func CheckDates(conf *tls.Config, now time.Time) error {
	c := Leaf(conf)
	if c == nil {
		return nil
	}
	const minutes = "2006-01-02 15:04 UTC"
	const cure = `"bungee ca renew" makes the next one`
	name, end := Peer(tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}}).Path(), c.NotAfter.UTC()
	switch {
	case now.After(end):
		return fmt.Errorf("certificate of %s: %w on %s; %s", name, ErrExpired, end.Format(minutes), cure)
	case now.Before(c.NotBefore):
		return fmt.Errorf("certificate of %s: it is valid from %s, and here it is %s; is a clock wrong?", name, c.NotBefore.UTC().Format(minutes), now.UTC().Format(minutes))
	case end.Sub(now) < min(notice, end.Sub(c.NotBefore)/3):
		return fmt.Errorf("certificate of %s: it expires on %s, in %s; %s", name, end.Format(minutes), days(end.Sub(now)), cure)
	}
	return nil
}

// Ends returns when conf's certificate ends, the zero time when conf does not say which it will use.
func Ends(conf *tls.Config) time.Time {
	if c := Leaf(conf); c != nil {
		return c.NotAfter
	}
	return time.Time{}
}

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// A Reminder says once a day what CheckDates finds. It is of one goroutine.
type Reminder struct{ next time.Time }

// Due returns what to warn of now, nil when nothing is or it was said in the last 24 hours.
func (r *Reminder) Due(conf *tls.Config, now time.Time) error {
	if now.Before(r.next) {
		return nil
	}
	r.next = now.Add(24 * time.Hour)
	return CheckDates(conf, now)
}
