package link

import (
	"cmp"
	"crypto/tls"
	"fmt"

	"github.com/quic-go/quic-go"

	"github.com/bungee-xr/bungee/internal/wire"
)

// wrongVersion is the application error code with which one end closes a connection
// because the other end speaks another version, or another protocol of ours.
const wrongVersion quic.ApplicationErrorCode = 1

// protocol is what an end of configuration conf speaks: what it names first. What else it names it takes
// only so that the peer can be told, but for a manager, with whom others enrol.
func protocol(conf *tls.Config) string {
	if len(conf.NextProtos) == 0 {
		return wire.ALPN
	}
	return conf.NextProtos[0]
}

// ends are the names of who dials and who listens.
func ends(conf *tls.Config) (dials, listens string) {
	if protocol(conf) == wire.ALPN {
		return "UE", "host"
	}
	return "UE or host", "manager"
}

// mismatch says why no connection of the protocol spoken can be: that conf's end speaks another. dialled: it
// is conf's end that has dialled. It is "" when there is no reason.
func mismatch(conf *tls.Config, spoken string, dialled bool) string {
	ours := protocol(conf)
	if spoken == ours || spoken == wire.EnrolALPN && ours == wire.ManagerALPN && !dialled {
		return ""
	}
	us, them := ends(conf)
	if !dialled {
		us, them = them, us
	}
	return fmt.Sprintf("this %s speaks %s, the %s speaks %s", us, ours, them, cmp.Or(spoken, "none of ours"))
}

// checkVersion closes qc, whose handshake is done, when it has chosen another protocol than conf's
// end speaks, and says so to both ends.
func checkVersion(qc *quic.Conn, conf *tls.Config, dialled bool) error {
	why := mismatch(conf, qc.ConnectionState().TLS.NegotiatedProtocol, dialled)
	if why == "" {
		return nil
	}
	qc.CloseWithError(wrongVersion, why)
	return fmt.Errorf("%w: %s", ErrVersion, why)
}

// whatWeSpeak returns err of a failed dial, with what this end speaks if the peer does not.
func whatWeSpeak(err error, conf *tls.Config) error {
	if err != ErrVersion {
		return err
	}
	return fmt.Errorf("%w: this end speaks %s", err, protocol(conf))
}
