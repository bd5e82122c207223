package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/internal/cli"
	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// enrollFlags are those of "bungee enroll".
type enrollFlags struct {
	manager, code, certs string
	renew                bool
}

func enrollCommand() *cobra.Command {
	var f enrollFlags
	c := &cobra.Command{
		Use:   "enroll --manager ADDRESS {--code CODE | --renew}",
		Short: "Get this device's certificate from a manager",
		Long: `enroll makes a key, and has the manager sign it for the device that the code is for ("bungee
manager code" makes one). The key does not leave this machine. With --renew it gets the next
certificate of the device whose folder --certs is, for the key that is there.

It can be repeated when it was cut off: the same key gets the same certificate.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			id, ends, err := f.run(c.Context())
			if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "%s is enrolled until %s: %s\n", id, date(ends), f.certs)
			}
			return err
		},
	}
	c.Flags().StringVar(&f.manager, "manager", "", "address of the manager, such as manager.example:4434")
	c.Flags().StringVar(&f.code, "code", "", "the code that the operator has made for this device")
	c.Flags().StringVar(&f.certs, "certs", "", "folder for the certificate and its key (default: the user's own)")
	c.Flags().BoolVar(&f.renew, "renew", false, "renew the certificate in the folder")
	return c
}

// enrollTime is how long a manager may take.
const enrollTime = 15 * time.Second

func (f *enrollFlags) run(ctx context.Context) (id identity.ID, ends time.Time, err error) {
	switch {
	case f.manager == "":
		return id, ends, fmt.Errorf("%w: --manager is missing", cli.ErrUsage)
	case (f.code == "") == !f.renew:
		return id, ends, fmt.Errorf("%w: want --code or --renew", cli.ErrUsage)
	}
	if f.certs, _, err = certsDir(f.certs); err != nil {
		return id, ends, err
	}
	ctx, cancel := context.WithTimeout(ctx, enrollTime)
	defer cancel()
	if f.renew {
		return f.renewed(ctx)
	}
	return f.enrolled(ctx)
}

// pendingKey is the file of a key that no certificate has come for.
const pendingKey = "enroll.key"

func (f *enrollFlags) enrolled(ctx context.Context) (id identity.ID, ends time.Time, err error) {
	code, err := identity.ParseCode(f.code)
	if err != nil {
		return id, ends, fmt.Errorf("%w: --code: %w", cli.ErrUsage, err)
	}
	for _, role := range []identity.Role{identity.UE, identity.Host} {
		if _, err := os.Stat(filepath.Join(f.certs, role.String()+".pem")); err == nil {
			return id, ends, fmt.Errorf("%s has the certificate of a %s: name another folder with --certs", f.certs, role)
		}
	}
	key, err := keyIn(f.certs)
	if err != nil {
		return id, ends, err
	}
	cert, err := f.ask(ctx, identity.ForEnrolment(code.Authority), key, f.code)
	if err != nil {
		return id, ends, err
	}
	if id, ends, err = f.write(cert, key, &code.Authority); err != nil {
		return id, ends, err
	}
	return id, ends, os.Remove(filepath.Join(f.certs, pendingKey))
}

func (f *enrollFlags) renewed(ctx context.Context) (id identity.ID, ends time.Time, err error) {
	for _, role := range []identity.Role{identity.UE, identity.Host} {
		var s *identity.Source
		if s, err = identity.Open(f.certs, role, nil); err != nil {
			continue
		}
		conf := identity.ForManager(s.TLS())
		own, err := conf.GetClientCertificate(&tls.CertificateRequestInfo{})
		if err != nil {
			return id, ends, err
		}
		key := own.PrivateKey.(*ecdsa.PrivateKey) // Open has looked
		cert, err := f.ask(ctx, conf, key, "")
		if err != nil {
			return id, ends, err
		}
		return f.write(cert, key, nil)
	}
	return id, ends, err
}

// keyIn returns the key of an enrolment in a folder that was cut off, or makes one.
func keyIn(dir string) (*ecdsa.PrivateKey, error) {
	file := filepath.Join(dir, pendingKey)
	text, err := os.ReadFile(file)
	if err == nil {
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("%s is no key: remove it", file)
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if k, ok := key.(*ecdsa.PrivateKey); ok && err == nil {
			return k, nil
		}
		return nil, fmt.Errorf("%s is no key of ours: remove it", file)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return key, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// ask has the manager sign for a key.
func (f *enrollFlags) ask(ctx context.Context, conf *tls.Config, key *ecdsa.PrivateKey, code string) (cert wire.Cert, err error) {
	request, err := identity.NewRequest(key)
	if err != nil {
		return cert, err
	}
	conn, err := dialManager(ctx, f.manager, conf)
	if err != nil {
		return cert, fmt.Errorf("manager at %s: %w", f.manager, err)
	}
	defer conn.Close("")
	st, err := conn.Open(ctx)
	if err != nil {
		return cert, err
	}
	if cert, err = control.Enrol(ctx, st, wire.Enrol{Code: code, Request: request}); err != nil {
		return cert, fmt.Errorf("manager at %s: %w", f.manager, err)
	}
	return cert, nil
}

// dialManager connects over QUIC, or over TCP where that does not pass.
func dialManager(ctx context.Context, at string, conf *tls.Config) (*link.Conn, error) {
	addr, err := net.ResolveUDPAddr("udp", at)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cli.ErrUsage, err)
	}
	pc, err := net.ListenPacket("udp", ":0")
	if err != nil {
		return nil, err
	}
	conn, err := link.Dial(ctx, pc, addr, conf)
	if err == nil || !errors.Is(err, link.ErrNoAnswer) {
		return conn, err
	}
	var d net.Dialer
	c, tcpErr := d.DialContext(ctx, "tcp", addr.String())
	if tcpErr != nil {
		return nil, err
	}
	return link.DialTCP(ctx, c, c.RemoteAddr(), conf)
}

// write writes what the manager has sent, after a look whether it is what was asked for.
func (f *enrollFlags) write(cert wire.Cert, key *ecdsa.PrivateKey, pin *identity.Fingerprint) (id identity.ID, ends time.Time, err error) {
	var roots []*x509.Certificate
	pinned := pin == nil
	for _, der := range cert.Roots {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return id, ends, err
		}
		roots = append(roots, c)
		pinned = pinned || identity.FingerprintOf(c) == *pin
	}
	if len(cert.Chain) == 0 || !pinned {
		return id, ends, errors.New("the manager has sent no certificate, or not the authority that the code is for")
	}
	leaf, err := x509.ParseCertificate(cert.Chain[0])
	if err != nil {
		return id, ends, err
	}
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return id, ends, errors.New("the manager has signed another key")
	}
	if id, err = identity.IDOf(leaf); err != nil {
		return id, ends, err
	}
	return id, leaf.NotAfter, identity.WriteFolder(f.certs, tls.Certificate{Certificate: cert.Chain, PrivateKey: key, Leaf: leaf}, roots...)
}
