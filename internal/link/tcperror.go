package link

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/libp2p/go-yamux/v5"
)

// explainTCP is Explain for what ends a connection over TCP.
func explainTCP(err error) error {
	var away *yamux.GoAwayError
	var stranger tls.RecordHeaderError
	var alert *net.OpError
	switch {
	case errors.As(err, &away) && isDismissal(uint64(away.ErrorCode)):
		return dismissed(true, uint64(away.ErrorCode))
	case errors.As(err, &away) && away.ErrorCode == codeVersion:
		return fmt.Errorf("%w: the peer says so", ErrVersion)
	case errors.As(err, &away) && (away.ErrorCode == codeClosed || away.ErrorCode == 0):
		return fmt.Errorf("%w by the peer", ErrClosed)
	case errors.Is(err, yamux.ErrKeepAliveTimeout), errors.Is(err, yamux.ErrConnectionWriteTimeout), errors.Is(err, syscall.ETIMEDOUT):
		return fmt.Errorf("%w (%w)", ErrNoAnswer, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: %w", ErrNoAnswer, syscall.ECONNREFUSED)
	case errors.As(err, &stranger):
		return fmt.Errorf("%w of a Bungee peer: what is there begins with %q", ErrNoAnswer, stranger.RecordHeader[:])
	case errors.As(err, &alert) && alert.Op == "remote error": // a TLS alert; crypto/tls gives only its text
		if alert.Err.Error() == "tls: no application protocol" {
			return fmt.Errorf("%w (%w)", ErrVersion, err)
		}
		return distrustAlertText(alert.Err.Error())
	}
	if err == nil {
		return nil
	}
	switch text := err.Error(); { // of these crypto/tls gives only the text
	case strings.Contains(text, "client didn't provide a certificate"):
		return &CertificateError{Fault: Missing}
	case strings.Contains(text, "client requested unsupported application protocols"):
		return ErrVersion
	}
	return err
}

// gone returns err, with ErrGone if the other end's kernel has ended the connection.
func gone(err error) error {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED} {
		if errors.Is(err, end) {
			return fmt.Errorf("%w (%v)", ErrGone, err)
		}
	}
	return err
}
