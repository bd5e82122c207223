package link

import (
	"fmt"

	"github.com/quic-go/quic-go"

	"github.com/bungee-xr/bungee/internal/wire"
)

// wrongVersion is the application error code with which one end closes a connection
// because the other end speaks another version.
const wrongVersion quic.ApplicationErrorCode = 1

// checkVersion closes qc, whose handshake is done, when it has chosen a version before
// ours, and says so to both ends: us names this end, them the other.
func checkVersion(qc *quic.Conn, us, them string) error {
	spoken := qc.ConnectionState().TLS.NegotiatedProtocol
	if spoken == wire.ALPN {
		return nil
	}
	qc.CloseWithError(wrongVersion, fmt.Sprintf("this %s speaks %s, the %s speaks %s", us, wire.ALPN, them, spoken))
	return fmt.Errorf("%w: the %s speaks %q", ErrVersion, them, spoken)
}
