package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
)

// A State is that of a device's newest certificate.
type State int

// The states.
const (
	Valid State = iota
	Ended
	Revoked
)

// String returns "valid", "ended" or "revoked".
func (s State) String() string { return [...]string{"valid", "ended", "revoked"}[s] }

// Issued is what the authority knows of a device.
type Issued struct {
	ID     identity.ID
	Cert   *x509.Certificate // the newest
	Signer *x509.Certificate // with which a manager signs; nil for others
	All    []*x509.Certificate
	State  State
	Before bool   // the authority before has signed it
	Short  bool   // it ends with the authority, before its own time
	Dir    string // its folder
	Here   bool   // the folder is still here
}

// Due says whether the certificate is to be renewed at now. One that ends with its authority is not: the next one would, too.
func (i Issued) Due(now time.Time) bool {
	c := i.Cert
	return i.State == Ended || i.State == Valid && (i.Before || !i.Short && c.NotAfter.Sub(now) < min(Early, c.NotAfter.Sub(c.NotBefore)/3))
}

// List returns all devices in the order of their paths.
func (a *Authority) List() ([]Issued, error) {
	revoked, err := a.revocations()
	if err != nil {
		return nil, err
	}
	var all []Issued
	root := a.path(issuedDir)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == root {
			return fs.SkipAll
		}
		if err != nil || d.IsDir() || filepath.Ext(path) != ".pem" || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		i, err := a.readRecord(path, revoked)
		if err == nil {
			all = append(all, i)
		}
		return err
	})
	return all, err
}

// find returns what is known of id. Its Cert is nil if that is nothing.
func (a *Authority) find(id identity.ID) (Issued, error) {
	revoked, err := a.revocations()
	if err != nil {
		return Issued{}, err
	}
	i, err := a.readRecord(a.path(recordOf(id)), revoked)
	if errors.Is(err, fs.ErrNotExist) {
		return Issued{ID: id, Dir: a.Dir(id)}, nil
	}
	if err == nil && i.ID != id {
		err = fmt.Errorf("%s is that of %s: are names told apart by case only?", a.path(recordOf(id)), i.ID)
	}
	return i, err
}

func recordOf(id identity.ID) string {
	return filepath.Join(issuedDir, filepath.FromSlash(id.Path())+".pem")
}

func (a *Authority) readRecord(path string, revoked *identity.Revocations) (i Issued, err error) {
	if i.All, err = identity.ReadCertificates(path, 2*maxRecords); err != nil {
		return i, err
	}
	for _, c := range i.All {
		if c.IsCA && i.Signer == nil {
			i.Signer = c
		}
		if !c.IsCA && i.Cert == nil {
			i.Cert = c
		}
	}
	if i.Cert == nil {
		return i, fmt.Errorf("%s holds no certificate of a device", path)
	}
	if i.ID, err = identity.IDOf(i.Cert); err != nil {
		return i, fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case revoked.Has(i.Cert.SerialNumber):
		i.State = Revoked
	case time.Now().After(i.Cert.NotAfter):
		i.State = Ended
	}
	i.Before = i.Cert.CheckSignatureFrom(a.signers[0].Certificate()) != nil
	i.Short = a.cutsShort(i.Cert)
	i.Dir = a.Dir(i.ID)
	_, err = os.Stat(i.Dir)
	i.Here = err == nil
	return i, nil
}

// ID returns the ID of a device of this authority.
func (a *Authority) ID(role identity.Role, tenant, name string) (identity.ID, error) {
	id := identity.ID{Authority: a.Name(), Role: role, Name: name}
	if role == identity.UE {
		id.Tenant = tenant
	}
	return id, id.Check()
}

// Issue makes a device's key and certificate, and its folder. If the device has them, made is false and
// nothing changes. One that was revoked gets a fresh key.
func (a *Authority) Issue(id identity.ID, life time.Duration, addresses []string) (i Issued, made bool, err error) {
	if err := id.Check(); err != nil {
		return i, false, err
	}
	if i, err = a.find(id); err != nil {
		return i, false, err
	}
	if i.Cert != nil && i.State != Revoked {
		if i.State == Ended {
			return i, false, fmt.Errorf(`%s has ended on %s; "bungee ca renew" makes the next certificate`, id.Path(), day(i.Cert.NotAfter))
		}
		return i, false, nil
	}
	if i.Cert == nil {
		adopted, err := a.adopt(id)
		if err == nil && adopted {
			i, err = a.find(id)
		}
		if err != nil || adopted {
			return i, false, err
		}
	}
	if err := a.makeFolder(id, life, addresses); err != nil {
		return i, false, err
	}
	i, err = a.find(id)
	return i, true, err
}

// adopt takes note of a device whose folder was made by a process that ended before it took note itself.
func (a *Authority) adopt(id identity.ID) (bool, error) {
	own, err := identity.ReadCertificates(filepath.Join(a.Dir(id), id.Role.String()+".pem"), 3)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if got, err := identity.IDOf(own[0]); err != nil || got != id || own[0].CheckSignatureFrom(a.signers[0].Certificate()) != nil {
		return false, fmt.Errorf("%s is there, and not that of %s: move it away", a.Dir(id), id)
	}
	if id.Role == identity.Manager {
		signer, err := identity.ReadCertificates(filepath.Join(a.Dir(id), identity.SignerName+".pem"), 3)
		if err != nil {
			return false, err
		}
		own = append(own[:1:1], signer[0])
	}
	return true, a.record(id, own)
}

// record writes down what a device has: newest, and those of before that have not ended.
func (a *Authority) record(id identity.ID, newest []*x509.Certificate) error {
	all := newest
	old, err := identity.ReadCertificates(a.path(recordOf(id)), 2*maxRecords)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, c := range old {
		if time.Now().Before(c.NotAfter) {
			all = append(all, c)
		}
	}
	if len(all) > maxRecords {
		return fmt.Errorf("%s has %d certificates that have not ended; revoke it", id.Path(), len(all)-len(newest))
	}
	var text []byte
	for _, c := range all {
		text = append(text, certPEM(c.Raw)...)
	}
	return a.put(recordOf(id), text, 0o644)
}

// makeFolder makes a device's folder, at once, and takes note of it. What was there, of a device that
// was revoked, is removed.
func (a *Authority) makeFolder(id identity.ID, life time.Duration, addresses []string) error {
	dir := a.Dir(id)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+id.Name+"-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	rel, err := filepath.Rel(a.dir, tmp)
	if err != nil {
		return err
	}
	cert, err := a.certify(rel, id.Role.String(), func(pub *ecdsa.PublicKey) ([][]byte, error) {
		return a.signers[0].Sign(pub, identity.Request{ID: id, Life: life, Addresses: addresses})
	})
	if err != nil {
		return err
	}
	made := []*x509.Certificate{cert}
	if id.Role == identity.Manager {
		signer, err := a.certify(rel, identity.SignerName, func(pub *ecdsa.PublicKey) ([][]byte, error) {
			der, err := a.signers[0].SignManager(pub, id.Name, life)
			return [][]byte{der}, err
		})
		if err != nil {
			return err
		}
		made = append(made, signer)
	}
	files := []string{identity.RootsFile}
	if id.Role != identity.UE {
		files = append(files, identity.RevokedFile)
	}
	for _, name := range files {
		text, err := os.ReadFile(a.path(name))
		if err == nil {
			err = a.put(filepath.Join(rel, name), text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	return a.record(id, made)
}

// certify makes a key, and what sign returns for it, in files of a name.
func (a *Authority) certify(rel, name string, sign func(*ecdsa.PublicKey) ([][]byte, error)) (*x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	chain, err := sign(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := a.put(filepath.Join(rel, name+".key"), keyPEM(der), 0o600); err != nil {
		return nil, err
	}
	if err := a.put(filepath.Join(rel, name+".pem"), certPEM(chain[0]), 0o644); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(chain[0])
}

// Renew makes the next certificate of a device, for the key that it has, and writes it into its folder. life
// zero keeps the length of the one before. A device that is revoked has none.
func (a *Authority) Renew(i Issued, life time.Duration) (Issued, error) {
	if i.State == Revoked {
		return i, fmt.Errorf(`%s is revoked; "bungee ca issue" gives it another key`, i.ID.Path())
	}
	cert, err := a.again(i.Cert, life, func(pub *ecdsa.PublicKey, life time.Duration) ([][]byte, error) {
		return a.signers[0].Sign(pub, identity.Request{ID: i.ID, Life: life, Addresses: addressesOf(i.Cert)})
	})
	if err != nil {
		return i, err
	}
	made := []*x509.Certificate{cert}
	if i.Signer != nil {
		signer, err := a.again(i.Signer, life, func(pub *ecdsa.PublicKey, life time.Duration) ([][]byte, error) {
			der, err := a.signers[0].SignManager(pub, i.ID.Name, life)
			return [][]byte{der}, err
		})
		if err != nil {
			return i, err
		}
		made = append(made, signer)
	}
	if err := a.record(i.ID, made); err != nil {
		return i, err
	}
	next, err := a.find(i.ID)
	if err != nil {
		return i, err
	}
	return next, a.Deliver(next)
}

// again has sign make the next certificate for old's key.
func (a *Authority) again(old *x509.Certificate, life time.Duration, sign func(*ecdsa.PublicKey, time.Duration) ([][]byte, error)) (*x509.Certificate, error) {
	pub, ok := old.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("its key is not ECDSA")
	}
	if life == 0 {
		life = a.lifeOf(old)
	}
	chain, err := sign(pub, life)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(chain[0])
}

// lifeOf returns for how long a certificate was wanted. Of one that was cut short nobody knows it.
func (a *Authority) lifeOf(c *x509.Certificate) time.Duration {
	if a.cutsShort(c) {
		return DeviceLife
	}
	return identity.LifeOf(c)
}

// cutsShort says whether a certificate ends because its authority does.
func (a *Authority) cutsShort(c *x509.Certificate) bool {
	return slices.ContainsFunc(a.roots(), func(root *x509.Certificate) bool { return c.NotAfter.Equal(root.NotAfter) })
}

func addressesOf(c *x509.Certificate) (all []string) {
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	return append(all, c.DNSNames...)
}

// Deliver writes a device's newest certificate, and what it needs of the authority, into its folder,
// which it makes if it has gone to the device: then the key is not in it.
func (a *Authority) Deliver(i Issued) error {
	if err := a.equip(i.ID, true); err != nil {
		return err
	}
	dir := filepath.FromSlash(i.ID.Path())
	if i.Signer != nil {
		if err := a.put(filepath.Join(dir, identity.SignerName+".pem"), certPEM(i.Signer.Raw), 0o644); err != nil {
			return err
		}
	}
	return a.put(filepath.Join(dir, i.ID.Role.String()+".pem"), certPEM(i.Cert.Raw), 0o644)
}

// Revoke revokes all certificates of a device, and says how many. Those that are revoked or have ended do
// not count.
func (a *Authority) Revoke(id identity.ID) (int, error) {
	i, err := a.find(id)
	if err != nil {
		return 0, err
	}
	if i.Cert == nil {
		return 0, fmt.Errorf(`%s was never issued here; "bungee ca ls" says what was`, id.Path())
	}
	return a.RevokeCertificates(i.All)
}

// RevokeCertificates revokes certificates that this authority or a manager of it has signed.
func (a *Authority) RevokeCertificates(certs []*x509.Certificate) (int, error) {
	revoked, err := a.revocations()
	if err != nil {
		return 0, err
	}
	var serials []*big.Int
	for _, c := range certs {
		if !revoked.Has(c.SerialNumber) && time.Now().Before(c.NotAfter) {
			serials = append(serials, c.SerialNumber)
		}
	}
	if len(serials) > 0 {
		return len(serials), a.publish(serials)
	}
	all, err := a.List() // a process may have ended before all folders had the list
	if err != nil {
		return 0, err
	}
	return 0, a.spread(all)
}

// Refresh is Deliver for a folder that is here.
func (a *Authority) Refresh(i Issued) error {
	if !i.Here {
		return nil
	}
	return a.Deliver(i)
}
