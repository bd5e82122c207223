package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// pollEvery is how often, at most, the files of a source are looked at. With the second between two
// checks of a host's connections, a revoked certificate is of no use after 1.5 s.
const pollEvery = 500 * time.Millisecond

// maxFile bounds what is read of a file, in bytes.
const maxFile = 1 << 20

// MaxRoots bounds the authorities that one may trust: two, while one takes the other's place, and some for
// who is slow.
const MaxRoots = 8

// The files of a folder, beside ROLE.pem and ROLE.key.
const (
	RootsFile   = "ca.pem"
	RevokedFile = "revoked.pem"
)

// A Source is an identity in a folder: ROLE.pem and ROLE.key, ca.pem with the authorities that
// are trusted, and revoked.pem, if there is one.
//
// It reads the files again when one has changed, which it looks for at each handshake and each Recheck,
// twice a second at most. It has no goroutine. Files that cannot be used change nothing: the log says
// why, once, and what was read before counts, but for a later list of revoked certificates, which always does.
type Source struct {
	dir  string
	role Role
	log  *slog.Logger

	last   atomic.Pointer[material]
	looked atomic.Int64 // when, in Unix nanoseconds

	mu    sync.Mutex // held while files are looked at and read; others go on with last
	seen  []os.FileInfo
	fault error // why what was read last could not be used
}

// Open reads the identity of role in dir. It fails when that cannot be used, and says what to do;
// a certificate that has ended is no such failure, see CheckDates. log receives a record for each
// change; nil means slog.Default.
func Open(dir string, role Role, log *slog.Logger) (*Source, error) {
	s := &Source{dir: dir, role: role, log: log}
	s.looked.Store(time.Now().UnixNano())
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// TLS returns a configuration that follows the source. A UE's also keeps tickets, and none of them
// longer than the certificate that it was given for.
func (s *Source) TLS() *tls.Config {
	c := config(s.role, s.last.Load(), s.current)
	if s.role != Manager {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &s.current().cert, nil }
	}
	if s.role == UE {
		c.ClientSessionCache = tickets{tls.NewLRUClientSessionCache(0), s}
	} else {
		c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) { return s.current().configFor(h) }
	}
	return c
}

// tickets forgets the tickets of before the last change: they were given to another certificate, or by a
// host that is accepted no longer. With these a handshake would fail once, and the next go without.
type tickets struct {
	tls.ClientSessionCache
	s *Source
}

func (t tickets) key(name string) string {
	return strconv.Itoa(t.s.current().change) + " " + name
}

// Get implements tls.ClientSessionCache.
func (t tickets) Get(name string) (*tls.ClientSessionState, bool) {
	return t.ClientSessionCache.Get(t.key(name))
}

// Put implements tls.ClientSessionCache.
func (t tickets) Put(name string, cs *tls.ClientSessionState) {
	t.ClientSessionCache.Put(t.key(name), cs)
}

// current returns what was read last, after a look whether it has changed, if the last one was a while
// ago.
func (s *Source) current() *material {
	if now, last := time.Now().UnixNano(), s.looked.Load(); now-last >= int64(pollEvery) && s.looked.CompareAndSwap(last, now) {
		if s.mu.TryLock() {
			s.look()
			s.mu.Unlock()
		}
	}
	return s.last.Load()
}

// look reads the files if one has changed. The mutex is held.
func (s *Source) look() {
	now := s.stat()
	if slices.EqualFunc(now, s.seen, same) {
		return
	}
	before, said := s.last.Load(), s.fault
	if err := s.read(); err != nil {
		if said == nil || said.Error() != err.Error() {
			s.logger().Warn("identity is not read again, the one before counts", "why", err)
		}
		return
	}
	m := s.last.Load()
	s.logger().Info("identity is read again", "id", m.id.String(), "ends", m.cert.Leaf.NotAfter.UTC(), "renewed", !before.cert.Leaf.Equal(m.cert.Leaf), "authorities", len(m.roots), "revoked", m.revoked.Len())
}

func (s *Source) logger() *slog.Logger {
	if s.log == nil {
		return slog.Default()
	}
	return s.log
}

// Reload reads the files at once. Its error names the file; then what was read before counts.
func (s *Source) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read()
}

// Fault says why the files, as they are, cannot be used, and those read before count; nil if they can be.
func (s *Source) Fault() error {
	s.current()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

// ID returns whose identity it is.
func (s *Source) ID() ID { return s.current().id }

// Ends returns when the certificate ends.
func (s *Source) Ends() time.Time { return s.current().cert.Leaf.NotAfter }

// stat returns what the folder has. A file that is not there is nil.
func (s *Source) stat() []os.FileInfo {
	var all []os.FileInfo
	for _, name := range []string{s.role.String() + ".pem", s.role.String() + ".key", RootsFile, RevokedFile} {
		info, _ := os.Stat(filepath.Join(s.dir, name))
		all = append(all, info)
	}
	return all
}

func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// read reads the files. The mutex is held. A change while it reads is seen at the next look. What could not even be
// opened is tried at the next look, though no file will have changed: the process had no descriptors left, or the file
// gets its owner late.
func (s *Source) read() error {
	s.seen = s.stat()
	s.fault = s.take()
	if _, ok := errors.AsType[*fs.PathError](s.fault); ok {
		s.seen = nil
	}
	return s.fault
}

// take has what the files say count.
func (s *Source) take() error {
	old := s.last.Load()
	m, err := readFolder(s.dir, s.role)
	if err != nil {
		s.revoke(old)
		return err
	}
	if old != nil && old.revoked != nil {
		switch {
		case m.revoked == nil:
			return fmt.Errorf("%s is gone; what it revoked stays so", filepath.Join(s.dir, RevokedFile))
		case m.revoked.Number < old.revoked.Number:
			return fmt.Errorf("%s is number %d, older than %d, which was read before", filepath.Join(s.dir, RevokedFile), m.revoked.Number, old.revoked.Number)
		}
	}
	s.use(m)
	return nil
}

// revoke has a later list of revoked certificates count, although another file cannot be used: who is revoked does
// not wait until that is mended.
func (s *Source) revoke(old *material) {
	if old == nil {
		return
	}
	list, err := readRevoked(s.dir, old.roots)
	if err != nil || list == nil || old.revoked != nil && list.Number <= old.revoked.Number {
		return
	}
	m := *old
	m.revoked = list
	s.use(&m)
	s.logger().Info("only the list of revoked certificates is read again", "revoked", list.Len())
}

// use has m count from now on. The mutex is held.
func (s *Source) use(m *material) {
	if old := s.last.Load(); old != nil {
		m.change = old.change + 1
	}
	if s.role != UE {
		m.serve = config(s.role, m, s.current)
	}
	if s.role == Manager {
		m.enrol = m.enrolling()
	}
	s.last.Store(m)
}

// readFolder reads the identity of role in dir.
func readFolder(dir string, role Role) (*material, error) {
	file := func(name string) string { return filepath.Join(dir, name) }
	m := &material{}
	own := file(role.String() + ".pem")
	certText, err := readFile(own, maxFile)
	if err != nil {
		return nil, fmt.Errorf("certificate of the %s: %w; %s makes one", role, err, issues(role))
	}
	keyText, err := readFile(file(role.String()+".key"), maxFile)
	if err != nil {
		return nil, fmt.Errorf("key of the %s: %w; %s makes one", role, err, issues(role))
	}
	if m.cert, err = tls.X509KeyPair(certText, keyText); err != nil {
		return nil, fmt.Errorf("certificate %s and its key: %w", own, err)
	}
	if m.id, err = IDOf(m.cert.Leaf); err != nil {
		return nil, fmt.Errorf("certificate %s: %w; %s makes another", own, err, issues(role))
	}
	if m.id.Role != role {
		return nil, fmt.Errorf("certificate %s: it is that of %s, not of a %s", own, m.id, role)
	}
	if k, ok := m.cert.Leaf.PublicKey.(*ecdsa.PublicKey); !ok || k.Curve != elliptic.P256() {
		return nil, fmt.Errorf("certificate %s: its key is not ECDSA P-256; %s makes another", own, issues(role))
	}
	if m.roots, err = ReadCertificates(file(RootsFile), MaxRoots); err != nil {
		return nil, err
	}
	m.pool = poolOf(m.roots)
	if err := m.checkOwn(role); err != nil {
		return nil, fmt.Errorf("certificate %s: it is of none of the authorities in %s: %w", own, file(RootsFile), err)
	}
	m.revoked, err = readRevoked(dir, m.roots)
	return m, err
}

// readRevoked reads the list of revoked certificates in dir, nil if there is none.
func readRevoked(dir string, roots []*x509.Certificate) (*Revocations, error) {
	file := filepath.Join(dir, RevokedFile)
	text, err := readFile(file, maxRevokedBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list *Revocations
	if err == nil {
		list, err = ParseRevocations(text, roots)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return list, nil
}

// checkOwn says whether peers could accept our certificate on the day on which it was made.
func (m *material) checkOwn(role Role) error {
	above := x509.NewCertPool()
	for _, der := range m.cert.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		above.AddCert(c)
	}
	_, err := m.cert.Leaf.Verify(x509.VerifyOptions{
		Roots: m.pool, Intermediates: above, CurrentTime: m.cert.Leaf.NotBefore, KeyUsages: role.usages()[:1],
	})
	return err
}

// ReadCertificates reads the certificates, at most as many as given, in a file.
func ReadCertificates(file string, most int) ([]*x509.Certificate, error) {
	text, err := readFile(file, maxFile)
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != pemCertificate {
			return nil, fmt.Errorf("%s holds a %.20q", file, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if all = append(all, c); len(all) > most {
			return nil, fmt.Errorf("%s holds more than %d certificates", file, most)
		}
	}
	if len(all) == 0 {
		return nil, errors.New(file + " holds no certificate")
	}
	return all, nil
}

// readFile reads a file of at most so many bytes.
func readFile(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", name, most)
	}
	return text, err
}
