// Command yardstick is what "bungee bench" measures against. For elastic channels it is
// gRPC unary calls over TLS, and a bare stream of length-prefixed messages over
// TCP and TLS, the transport of paper 001; for the executor it is Extism.
//
//	yardstick serve -certs DIR   # prints its addresses; ends with standard input
//	yardstick load -certs DIR    # reads batches, prints what each measured
//	yardstick extism             # reads orders, prints what each came to
//
// DIR holds ca.pem, host.pem, host.key, ue.pem and ue.key, as "bungee host"
// writes them. load reads a [batch] as a line of JSON and answers with a
// [measured] as another. extism does so with [order] and [observed]: it measures
// Extism's Go SDK, which "bungee bench executor" compares with.
//
// gRPC has its defaults and, as transport "grpc", a protobuf message with a field
// of bytes, which is what an application would have and what a message of an elastic
// channel is, too. Transport "grpcraw" is gRPC without protobuf, its bytes coded and
// copied by nobody: better than an application gets it. The stream has TCP_NODELAY
// and one write a message.
//
// It is a module of its own, so that no user of Bungee downloads gRPC or Extism.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "yardstick:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		return errors.New(`say what to do: "yardstick serve -certs DIR", "yardstick load -certs DIR" or "yardstick extism"`)
	}
	if args[0] == "extism" && len(args) == 1 {
		return serveExtism(in, out)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	certs := flags.String("certs", "", "folder of certificates that \"bungee host\" or a benchmark wrote")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	role, then := "ue", load
	switch args[0] {
	case "load":
	case "serve":
		role, then = "host", serveUntilEOF
	default:
		return fmt.Errorf("no subcommand %q: serve, load and extism are", args[0])
	}
	conf, err := loadTLS(*certs, role)
	if err != nil {
		return err
	}
	return then(conf, in, out)
}

// addresses are where the transports are served.
type addresses struct {
	GRPC string `json:"grpc"`
	TCP  string `json:"tcp"`
}

func serveUntilEOF(conf *tls.Config, in io.Reader, out io.Writer) error {
	s, err := serve(conf)
	if err != nil {
		return err
	}
	defer s.close()
	if err := json.NewEncoder(out).Encode(s.addresses); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// loadTLS returns the TLS configuration of role, "host" or "ue": the same
// mutual TLS 1.3 that elastic channels have.
func loadTLS(dir, role string) (*tls.Config, error) {
	base := filepath.Join(dir, role)
	cert, err := tls.LoadX509KeyPair(base+".pem", base+".key")
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("ca.pem in %s holds no certificate", dir)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
		InsecureSkipVerify: true, // a host's certificate has an ID and no name; verifyHost checks its chain
		VerifyConnection:   func(s tls.ConnectionState) error { return verifyHost(s, pool) },
		ServerName:         "yardstick", // what gRPC tells the host
	}, nil
}

// verifyHost checks that a peer, which is a host unless this end is one, is of the authority in pool.
func verifyHost(s tls.ConnectionState, pool *x509.CertPool) error {
	if len(s.VerifiedChains) > 0 || len(s.PeerCertificates) == 0 { // crypto/tls has verified a UE
		return nil
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err
}
