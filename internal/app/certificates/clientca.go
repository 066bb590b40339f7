package certificates

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// ClientCAs verifies the certificates of clients against the CAs in a file. It reads the file again
// when that changes.
type ClientCAs struct {
	file string
	log  logr.Logger
	now  func() time.Time

	mu       sync.Mutex
	lastRead time.Time
	content  []byte
	pool     *x509.CertPool
}

// rereadInterval is the shortest pause between two reads of the file.
const rereadInterval = time.Second

// NewClientCAs returns ClientCAs after a first read of the file.
func NewClientCAs(file string, log logr.Logger) (*ClientCAs, error) {
	c := &ClientCAs{file: file, log: log, now: time.Now}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// load parses the file if its content has changed.
func (c *ClientCAs) load() error {
	content, err := os.ReadFile(c.file)
	if err != nil {
		return fmt.Errorf("--client-ca-file: %w", err)
	}
	if c.pool != nil && bytes.Equal(content, c.content) {
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return fmt.Errorf("--client-ca-file=%s: the file holds no certificate in PEM", c.file)
	}
	c.content, c.pool = content, pool
	return nil
}

// current returns the CAs in the file. If the file cannot be read any more, it returns the CAs that
// were last read.
func (c *ClientCAs) current() *x509.CertPool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.lastRead) >= rereadInterval {
		c.lastRead = now
		if err := c.load(); err != nil {
			c.log.Error(err, "cannot reload the CAs of clients; those that were last read stay in use")
		}
	}
	return c.pool
}

// Require returns a configuration under which a client must present a certificate of one of the
// CAs. The certificate is checked on each connection, including one that resumes a session, since a
// CA may have been removed from the file meanwhile.
func (c *ClientCAs) Require(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.ClientAuth = tls.RequireAnyClientCert
	config.VerifyConnection = c.verify
	return config
}

func (c *ClientCAs) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the client presents no certificate")
	}
	others := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		others.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: c.current(), Intermediates: others, CurrentTime: c.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("verify the certificate of the client: %w", err)
	}
	return nil
}
