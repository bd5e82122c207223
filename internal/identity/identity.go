// Package identity says who peers are: IDs, certificates with them, and the TLS configurations
// that prove and check them. Every link is TLS 1.3 with certificates on both ends.
//
// A certificate has one ID, which names its role. UEs dial edge hosts and managers, and hosts dial
// managers; nobody accepts another role than the protocol of the connection, its ALPN, is for. So who
// steals a UE's certificate cannot pose as an edge host, nor a host as a manager. What the role does stands
// in the extended key usage as well, and both must agree.
//
// A [Source] reads an identity from a folder, and again when its files change. What it has read
// last counts for each handshake, for resumed ones, too, and for [Recheck] of a connection that is
// up: a certificate that has ended, is revoked, or whose authority is trusted no longer ends
// what was made with it.
//
// An [Authority] signs. Package authority keeps one in a folder.
package identity

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

// A Role is the use of a certificate.
type Role int

// The roles. Each is the name of its files in a folder, too.
const (
	UE Role = iota
	Host
	Manager
)

// String returns "ue", "host" or "manager".
func (r Role) String() string {
	switch r {
	case Host:
		return "host"
	case Manager:
		return "manager"
	}
	return "ue"
}

// usages returns what certificates of role r are for. The first has been in all of them; the second, for
// dialling managers, is not in those of hosts from before there were managers.
func (r Role) usages() []x509.ExtKeyUsage {
	if r == UE {
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
}

// A partner is who may be at the other end of a connection.
type partner struct {
	roles []Role
	usage x509.ExtKeyUsage // of its certificate there
}

// partnerOf returns whom an end of role r may have at the other end of a connection that speaks the protocol alpn.
//
//	dials    listens   protocol
//	UE       Host      wire.ALPN
//	UE, Host Manager   wire.ManagerALPN
func (r Role) partnerOf(alpn string) partner {
	switch {
	case r == Manager:
		return partner{[]Role{UE, Host}, x509.ExtKeyUsageClientAuth}
	case alpn == wire.ManagerALPN:
		return partner{[]Role{Manager}, x509.ExtKeyUsageServerAuth}
	case r == UE:
		return partner{[]Role{Host}, x509.ExtKeyUsageServerAuth}
	}
	return partner{[]Role{UE}, x509.ExtKeyUsageClientAuth}
}

// protocols returns what an end of role r speaks where nobody says otherwise, and then what it takes so that
// a peer can be told that it speaks another: who meets a host where a manager should be learns so from its certificate.
func (r Role) protocols() []string {
	switch r {
	case Manager:
		return []string{wire.ManagerALPN, wire.ALPN}
	case Host:
		return append(append([]string{wire.ALPN}, wire.Before...), wire.ManagerALPN)
	}
	return append([]string{wire.ALPN}, wire.Before...)
}

// serverName is what who dials asks for. A certificate does not have it: who dials checks
// that its peer is an edge host or a manager of its authority, whatever address it has.
const serverName = "edge-host.bungee"

// A material is what an end knows of itself and of its authority. It does not change.
type material struct {
	id      ID // ours; of a static one, the authority only
	cert    tls.Certificate
	roots   []*x509.Certificate
	pool    *x509.CertPool
	revoked *Revocations

	change int         // of the files, counted from 0
	serve  *tls.Config // of who listens: what a handshake gets
	enrol  *tls.Config // of a manager: what that of somebody without a certificate gets
}

// Static returns the configuration of role with a certificate that stays as it is. It accepts peers
// of the authorities in roots.
func Static(role Role, cert tls.Certificate, roots ...*x509.Certificate) *tls.Config {
	m := &material{cert: cert, roots: roots, pool: poolOf(roots)}
	if len(roots) > 0 && len(roots[0].URIs) == 1 {
		m.id.Authority = roots[0].URIs[0].Host
	}
	c := config(role, m, func() *material { return m })
	if role == Manager {
		m.serve, m.enrol = c.Clone(), m.enrolling()
		c.GetConfigForClient = m.configFor
	}
	return c
}

func poolOf(certs []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool
}

// config returns the configuration of role, which begins with m. Peers are checked with what
// current returns.
func config(role Role, m *material, current func() *material) *tls.Config {
	c := &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: role.protocols(),
		VerifyConnection: func(cs tls.ConnectionState) error {
			return current().check(role.partnerOf(cs.NegotiatedProtocol), cs, time.Now())
		},
		DynamicRecordSizingDisabled: true, // a video frame goes out at once
	}
	if len(m.cert.Certificate) > 0 {
		c.Certificates = []tls.Certificate{m.cert}
	}
	if role != UE {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, m.pool // so that alerts tell why
	}
	if role != Manager {
		c.ServerName, c.RootCAs = serverName, m.pool
		c.InsecureSkipVerify = true // who dials does it with today's roots and by ID
	}
	if role == UE {
		c.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error { // for who replaces VerifyConnection
			return current().checkRaw(raw, time.Now(), role.partnerOf(wire.ALPN), role.partnerOf(wire.ManagerALPN))
		}
	}
	return c
}

// ForManager returns conf, one of this package for a UE or a host, as it dials managers: it accepts
// managers only. It keeps no tickets: a connection to a manager is long, and nothing goes out early.
func ForManager(conf *tls.Config) *tls.Config {
	c := conf.Clone()
	c.NextProtos, c.ClientSessionCache = []string{wire.ManagerALPN}, nil
	return c
}

// Peer returns the ID that the other end has proved, the zero ID if it has none.
func Peer(s tls.ConnectionState) ID {
	if len(s.PeerCertificates) == 0 {
		return ID{}
	}
	id, err := IDOf(s.PeerCertificates[0])
	if err != nil {
		return ID{}
	}
	return id
}

// Recheck says why a peer whose handshake conf accepted would not be accepted now. It asks no network
// and costs a host microseconds.
func Recheck(conf *tls.Config, s tls.ConnectionState) error {
	if conf.VerifyConnection == nil {
		return nil
	}
	return conf.VerifyConnection(s)
}

// Leaf returns the certificate that conf uses at the moment, nil when it does not say.
func Leaf(conf *tls.Config) *x509.Certificate {
	cert := tls.Certificate{}
	switch {
	case conf.GetConfigForClient != nil:
		c, err := conf.GetConfigForClient(&tls.ClientHelloInfo{})
		if err != nil || c == nil || len(c.Certificates) == 0 {
			return nil
		}
		cert = c.Certificates[0]
	case conf.GetClientCertificate != nil:
		c, err := conf.GetClientCertificate(&tls.CertificateRequestInfo{})
		if err != nil || c == nil {
			return nil
		}
		cert = *c
	case len(conf.Certificates) > 0:
		cert = conf.Certificates[0]
	}
	if cert.Leaf != nil || len(cert.Certificate) == 0 {
		return cert.Leaf
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf
}

// Load returns the configuration of role from the files in dir, which is read again when it changes.
// See Open.
func Load(dir string, role Role) (*tls.Config, error) {
	s, err := Open(dir, role, nil)
	if err != nil {
		return nil, err
	}
	return s.TLS(), nil
}

// Dir returns the folder where the commands keep certificates of this user.
func Dir() (string, error) {
	d, err := os.UserConfigDir()
	return filepath.Join(d, "bungee", "certs"), err
}

// issues is the command that makes a certificate of a role.
func issues(r Role) string { return fmt.Sprintf(`"bungee ca issue %s NAME"`, r) }
