// Package authority keeps an authority in a folder: its key, what it has issued, and a folder for
// each device with what that device needs.
//
//	ca.key                    the authority's certificate and key, secret; during a rotation two pairs
//	ca.pem                    the authorities that are trusted
//	revoked.pem               the list of revoked certificates
//	issued/PATH.pem           the certificates of a device, the newest first
//	PATH/                     a device's folder, to be copied to it
//
// PATH is the device's ID without the authority: tenant/acme/ue/headset-1, host/edge-1, manager/m1. Its
// folder may be removed once it is copied; the rest may not. A renewal keeps the device's key, so
// the next certificate is no secret, and replaces one file.
//
// # Failure
//
// Each file is written beside its place, synced, and renamed, so a full disk or the end of the process
// leaves the one before. A command that was cut off is repeated: it finds what was there. One process at a
// time changes the folder; others wait.
package authority

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
)

// Lifetimes where nobody says others.
const (
	Life       = 10 * 365 * 24 * time.Hour // of the authority
	DeviceLife = 365 * 24 * time.Hour
)

// Early is how long before its end a certificate is renewed, or a third of its life.
const Early = 30 * 24 * time.Hour

const (
	keyFile    = "ca.key"
	issuedDir  = "issued"
	maxRecords = 64 // certificates of one device that have not ended
)

// ErrNone says that there is no authority in a folder.
var ErrNone = errors.New(`there is no authority; "bungee ca init" makes one`)

// An Authority is one in a folder, which no other process changes until Close.
type Authority struct {
	dir     string
	signers []*identity.Authority // the one that signs; while it takes its place, the one before
	unlock  func() error
	write   func(f *os.File, text []byte) (int, error) // tests make it fail
}

// Init makes an authority in dir, with a name that IDs begin with, unless there is one: then made is false
// and nothing changes. It must be closed.
func Init(dir, name string, life time.Duration) (a *Authority, made bool, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, err
	}
	a, err = Open(dir)
	if !errors.Is(err, ErrNone) {
		return a, false, err
	}
	if a, err = lock(dir); err != nil {
		return nil, false, err
	}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if _, err := os.Stat(a.path(keyFile)); err == nil { // another process was faster
		return a, false, errors.Join(a.read(), a.finish())
	}
	signer, err := identity.CreateAuthority(name, life)
	if err != nil {
		return nil, false, err
	}
	a.signers = []*identity.Authority{signer}
	if err := a.writeKeys(); err != nil {
		return nil, false, err
	}
	return a, true, a.publish(nil)
}

// Open opens the authority in dir, or returns ErrNone. It waits while another process has it open.
func Open(dir string) (*Authority, error) {
	if _, err := os.Stat(filepath.Join(dir, keyFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNone)
	}
	a, err := lock(dir)
	if err != nil {
		return nil, err
	}
	err = a.read()
	if err == nil {
		err = a.finish()
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// finish does what a process that ended early has left: ca.pem is written last.
func (a *Authority) finish() error {
	if text, err := os.ReadFile(a.path(identity.RootsFile)); err == nil && string(text) == string(a.rootsPEM()) {
		return nil
	}
	return a.publish(nil)
}

func lock(dir string) (*Authority, error) {
	unlock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("lock of the authority: %w", err)
	}
	return &Authority{dir: dir, unlock: unlock, write: (*os.File).Write}, nil
}

// Close lets other processes have the authority.
func (a *Authority) Close() error { return a.unlock() }

// Name returns the authority's name, and Ends when its certificate ends.
func (a *Authority) Name() string { return a.signers[0].Name() }

// Ends returns when the authority ends. No certificate of it is valid for longer.
func (a *Authority) Ends() time.Time { return a.signers[0].Certificate().NotAfter }

// Rotating says whether the authority before is trusted, too.
func (a *Authority) Rotating() bool { return len(a.signers) > 1 }

// Dir returns the folder of a device.
func (a *Authority) Dir(id identity.ID) string { return a.path(filepath.FromSlash(id.Path())) }

func (a *Authority) path(name string) string { return filepath.Join(a.dir, name) }

// read reads the keys.
func (a *Authority) read() error {
	file := a.path(keyFile)
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("%s can be read by others, mode %#o: chmod 600, and rotate the authority if somebody may have read it", file, info.Mode().Perm())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for len(text) > 0 && len(a.signers) < 3 {
		var cert, key *pem.Block
		if cert, text = pem.Decode(text); cert == nil {
			break
		}
		if key, text = pem.Decode(text); key == nil {
			return fmt.Errorf("%s: a key is missing", file)
		}
		signer, err := parsePair(cert.Bytes, key.Bytes)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		a.signers = append(a.signers, signer)
	}
	if len(a.signers) == 0 || len(a.signers) > 2 {
		return fmt.Errorf("%s holds %d authorities, and must hold one, or two during a rotation", file, len(a.signers))
	}
	return nil
}

func parsePair(certDER, keyDER []byte) (*identity.Authority, error) {
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		return nil, err
	}
	k, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the key is not ECDSA")
	}
	return identity.OpenAuthority(cert, k)
}

func (a *Authority) writeKeys() error {
	var text []byte
	for _, s := range a.signers {
		key, err := x509.MarshalPKCS8PrivateKey(s.Key())
		if err != nil {
			return err
		}
		text = append(text, certPEM(s.Certificate().Raw)...)
		text = append(text, keyPEM(key)...)
	}
	return a.put(keyFile, text, 0o600)
}

// roots returns the certificates of the authorities that are trusted.
func (a *Authority) roots() (all []*x509.Certificate) {
	for _, s := range a.signers {
		all = append(all, s.Certificate())
	}
	return all
}

// rootsPEM is ca.pem.
func (a *Authority) rootsPEM() (text []byte) {
	for _, c := range a.roots() {
		text = append(text, certPEM(c.Raw)...)
	}
	return text
}

// publish writes ca.pem and revoked.pem, here and in the devices' folders. serials are revoked with it.
func (a *Authority) publish(serials []*big.Int) error {
	before, err := a.revocations()
	if err != nil {
		return err
	}
	all, err := a.List()
	if err != nil {
		return err
	}
	if before == nil && len(all) > 0 {
		return fmt.Errorf("%s is gone, and says what is revoked: restore it from a backup", a.path(identity.RevokedFile))
	}
	ended, now := map[string]bool{}, time.Now()
	for _, i := range all {
		for _, c := range i.All {
			ended[c.SerialNumber.String()] = now.After(c.NotAfter)
		}
	}
	number := uint64(1)
	if before != nil {
		number = before.Number + 1
	}
	var list []byte
	for _, s := range a.signers {
		text, err := s.SignRevocations(before, number, serials, func(serial *big.Int) bool { return !ended[serial.String()] })
		if err != nil {
			return err
		}
		list = append(list, text...)
	}
	if err := a.put(identity.RevokedFile, list, 0o644); err != nil {
		return err
	}
	return a.spread(all)
}

// spread writes what devices need of the authority into their folders, and ca.pem.
func (a *Authority) spread(all []Issued) error {
	for _, i := range all {
		if err := a.equip(i.ID, false); err != nil {
			return err
		}
	}
	return a.put(identity.RootsFile, a.rootsPEM(), 0o644)
}

// revocations returns what is revoked, nil before the first list is written.
func (a *Authority) revocations() (*identity.Revocations, error) {
	text, err := os.ReadFile(a.path(identity.RevokedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := identity.ParseRevocations(text, a.roots())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.path(identity.RevokedFile), err)
	}
	return r, nil
}

// equip writes what a device's folder has of the authority. It makes the folder only if told to.
func (a *Authority) equip(id identity.ID, make bool) error {
	dir := filepath.FromSlash(id.Path())
	if _, err := os.Stat(a.path(dir)); err != nil && !make {
		return nil
	}
	if err := os.MkdirAll(a.path(dir), 0o700); err != nil {
		return err
	}
	if err := a.put(filepath.Join(dir, identity.RootsFile), a.rootsPEM(), 0o644); err != nil {
		return err
	}
	if id.Role == identity.UE {
		return nil // hosts refuse; a UE meets few of them
	}
	list, err := os.ReadFile(a.path(identity.RevokedFile))
	if err != nil {
		return err
	}
	return a.put(filepath.Join(dir, identity.RevokedFile), list, 0o644)
}

// put writes a file below the folder: the whole of it, or nothing. A file that is so already is left alone.
func (a *Authority) put(name string, text []byte, mode os.FileMode) (err error) {
	path := a.path(name)
	if old, err := os.ReadFile(path); err == nil && string(old) == string(text) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("write %s, of which the one before is left: %w", path, err)
		}
	}()
	_, err = a.write(f, text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename outlast a crash of the machine. Not all systems can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil || runtime.GOOS == "windows" {
		return nil
	}
	defer d.Close()
	return d.Sync()
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Rotate makes the next authority, which signs from then on; the one before is trusted until EndRotation.
func (a *Authority) Rotate(life time.Duration) error {
	if a.Rotating() {
		return fmt.Errorf(`a rotation is under way since %s; "bungee ca renew --all" and then "bungee ca rotate --end" end it`, day(a.signers[0].Certificate().NotBefore))
	}
	next, err := identity.CreateAuthority(a.Name(), life)
	if err != nil {
		return err
	}
	before := a.signers
	a.signers = []*identity.Authority{next, before[0]}
	if err := a.writeKeys(); err != nil {
		a.signers = before
		return err
	}
	return a.publish(nil)
}

// EndRotation drops the authority before. It fails when devices still have certificates of it, unless
// forced.
func (a *Authority) EndRotation(force bool) error {
	if !a.Rotating() {
		return errors.New(`no rotation is under way; "bungee ca rotate" begins one`)
	}
	all, err := a.List()
	if err != nil {
		return err
	}
	late := slices.DeleteFunc(all, func(i Issued) bool { return i.State != Valid || !i.Before })
	if len(late) > 0 && !force {
		return fmt.Errorf(`%d devices have certificates of the authority before, %s for one; "bungee ca renew --all" makes others, --force drops it all the same`, len(late), late[0].ID.Path())
	}
	before := a.signers
	a.signers = before[:1:1]
	if err := a.writeKeys(); err != nil {
		a.signers = before
		return err
	}
	return a.publish(nil)
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }
