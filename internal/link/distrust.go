package link

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/bungee-xr/bungee/internal/identity"
)

// A Fault is what one end finds wrong with the other's certificate.
type Fault int

// The faults.
const (
	NotAccepted Fault = iota // without a reason that is known here
	Missing
	Expired
	NotYetValid
	OutOfTime // expired or not yet valid, by the peer's clock
	Revoked
	OtherAuthority
	WrongRole
	WrongUse
	NoID
	TooLong
)

var faultTexts = map[Fault]string{
	Missing:        "is missing",
	Expired:        "has expired",
	NotYetValid:    "is not valid yet",
	OutOfTime:      "has expired or is not valid yet, by the peer's clock",
	Revoked:        "is revoked",
	OtherAuthority: "is of another authority",
	WrongRole:      "is for another role",
	WrongUse:       "is for another use",
	NoID:           "has no SPIFFE ID",
	TooLong:        "has too long a chain",
}

// A CertificateError says that one end does not accept the other's certificate. It is an
// ErrIdentity.
type CertificateError struct {
	Ours   bool // it is the peer that does not accept ours
	Fault  Fault
	detail string
}

// Reason says whose certificate is not accepted and why, one of few texts.
func (e *CertificateError) Reason() string {
	text, known := faultTexts[e.Fault]
	switch {
	case e.Ours && known:
		return "the peer does not accept our certificate: it " + text
	case e.Ours:
		return "the peer does not accept our certificate"
	case known:
		return "the peer's certificate " + text
	}
	return "the peer's certificate is not acceptable"
}

func (e *CertificateError) Error() string {
	if e.detail == "" {
		return e.Reason()
	}
	return e.Reason() + " (" + e.detail + ")"
}

// Is says that e is an ErrIdentity.
func (e *CertificateError) Is(target error) bool { return target == ErrIdentity }

// distrust returns err as a CertificateError, nil if it is none.
func distrust(err error) *CertificateError {
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	var other *tls.CertificateVerificationError
	var refusal *identity.Refusal
	switch {
	case errors.As(err, &refusal):
		return &CertificateError{Fault: whyFaults[refusal.Why], detail: refusal.Detail}
	case errors.As(err, &invalid):
		return distrustInvalid(invalid)
	case errors.As(err, &authority):
		e := &CertificateError{Fault: OtherAuthority}
		if strings.Contains(authority.Error(), "expired") { // a hint, for which it has no field
			e.detail = "perhaps of ours, and the authority's own certificate has expired or is not valid yet"
		}
		return e
	case errors.As(err, &other):
		return &CertificateError{detail: other.Err.Error()}
	}
	return distrustAlert(err)
}

// whyFaults are the faults that package identity finds.
var whyFaults = map[identity.Why]Fault{
	identity.NoID:             NoID,
	identity.WrongRole:        WrongRole,
	identity.WrongUsage:       WrongUse,
	identity.OtherAuthority:   OtherAuthority,
	identity.Revoked:          Revoked,
	identity.ChainTooLong:     TooLong,
	identity.NoCertificate:    Missing,
	identity.ManagerOfManager: WrongRole,
}

func distrustInvalid(invalid x509.CertificateInvalidError) *CertificateError {
	now := time.Now()
	switch c := invalid.Cert; {
	case invalid.Reason == x509.IncompatibleUsage:
		return &CertificateError{Fault: WrongUse}
	case invalid.Reason == x509.TooManyIntermediates:
		return &CertificateError{Fault: TooLong}
	case invalid.Reason != x509.Expired:
		return &CertificateError{detail: strings.TrimPrefix(invalid.Error(), "x509: ")}
	case c != nil && now.Before(c.NotBefore):
		return &CertificateError{Fault: NotYetValid, detail: clocks("from", c.NotBefore, now)}
	case c != nil:
		return &CertificateError{Fault: Expired, detail: clocks("until", c.NotAfter, now)}
	}
	return &CertificateError{Fault: Expired}
}

// clocks says when a certificate is valid, and what time it is here: often it is a clock that
// is wrong.
func clocks(word string, bound, now time.Time) string {
	const minutes = "2006-01-02 15:04"
	return fmt.Sprintf("valid %s %s, and here it is %s UTC", word, bound.UTC().Format(minutes), now.UTC().Format(minutes))
}

// The alerts of TLS about certificates (RFC 8446 section 6.2).
var alertFaults = map[quic.TransportErrorCode]Fault{
	42:  NotAccepted, // bad_certificate: what a UE of ours says of any fault
	43:  NotAccepted, // unsupported_certificate
	44:  Revoked,
	45:  OutOfTime,   // certificate_expired
	46:  NotAccepted, // certificate_unknown
	48:  OtherAuthority,
	116: Missing, // certificate_required
}

// distrustAlert returns what a TLS alert says of a certificate: of ours if the peer sent it.
func distrustAlert(err error) *CertificateError {
	var te *quic.TransportError
	if !errors.As(err, &te) || !te.ErrorCode.IsCryptoError() {
		return nil
	}
	fault, ok := alertFaults[te.ErrorCode-firstAlert]
	if !ok {
		return nil
	}
	return &CertificateError{Ours: te.Remote, Fault: fault}
}

// distrustAlertText is distrustAlert for an alert that the peer sent over TCP, of which crypto/tls
// gives only the text. It is never nil.
func distrustAlertText(text string) *CertificateError {
	for code, fault := range alertFaults {
		if text == tls.AlertError(code).Error() {
			return &CertificateError{Ours: true, Fault: fault}
		}
	}
	return &CertificateError{Ours: true, detail: text}
}

// firstAlert is the code of QUIC for TLS alert 0 (RFC 9001 section 4.8).
const firstAlert = 0x100

// dismissal is the code with which one end ends a connection whose handshake was long ago, because
// the other end's certificate is not acceptable any longer: the number of the TLS alert is added. It
// is one of QUIC's application error codes, and of yamux'.
const dismissal = 0x200

func isDismissal(code uint64) bool { return code >= dismissal && code <= dismissal+0xff }

// dismissed returns what such a code says. remote: the peer has sent it.
func dismissed(remote bool, code uint64) *CertificateError {
	return &CertificateError{Ours: remote, Fault: alertFaults[quic.TransportErrorCode(code-dismissal)]}
}

// code returns the code that tells the peer about e.
func (e *CertificateError) code() uint64 {
	switch e.Fault {
	case Expired, NotYetValid:
		return dismissal + 45
	case OtherAuthority:
		return dismissal + 48
	case Revoked:
		return dismissal + 44
	}
	return dismissal + 42
}

// PeerFault checks the peer's certificate again, and says why it is not acceptable any longer: it has
// ended, is revoked, or is of an authority that is trusted no more. It asks no network; at a host it costs
// microseconds, at a UE a signature or two.
func (c *Conn) PeerFault() *CertificateError {
	err := c.verify()
	if err == nil {
		return nil
	}
	if why := distrust(err); why != nil {
		return why
	}
	return &CertificateError{detail: err.Error()}
}

// Dismiss ends the connection because of why, which it tells the peer. Over TCP that may take 100 ms.
func (c *Conn) Dismiss(why *CertificateError) error { return c.dismiss(why) }
