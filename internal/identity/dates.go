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

// notice is how long before its end a certificate is warned of.
const notice = 30 * 24 * time.Hour

// CheckDates says what is wrong with the dates of conf's certificate: ErrExpired; that it is
// not valid yet; or that it ends within 30 days, which is a warning. It returns nil when
// nothing is, or when conf does not say which certificate it will use.
func CheckDates(conf *tls.Config, now time.Time) error {
	if len(conf.Certificates) == 0 || len(conf.Certificates[0].Certificate) == 0 {
		return nil
	}
	c, err := x509.ParseCertificate(conf.Certificates[0].Certificate[0])
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	const minutes = "2006-01-02 15:04 UTC"
	name, end := c.Subject.CommonName, c.NotAfter.UTC()
	switch {
	case now.After(end):
		return fmt.Errorf("certificate of %.64q: %w on %s; \"bungee certs\" makes others", name, ErrExpired, end.Format(minutes))
	case now.Before(c.NotBefore):
		return fmt.Errorf("certificate of %.64q: it is valid from %s, and here it is %s; is a clock wrong?", name, c.NotBefore.UTC().Format(minutes), now.UTC().Format(minutes))
	case end.Sub(now) < notice:
		return fmt.Errorf("certificate of %.64q: it expires on %s, in %d days; \"bungee certs\" makes others", name, end.Format(minutes), int(end.Sub(now).Hours()/24))
	}
	return nil
}
