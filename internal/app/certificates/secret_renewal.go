package certificates

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Lifetimes of the certificates that the operator creates. Each is renewed certificateRenewal
// before it expires.
const (
	caLifetime          = 10 * 365 * 24 * time.Hour
	certificateLifetime = 365 * 24 * time.Hour
	certificateRenewal  = 90 * 24 * time.Hour
	certificateCheck    = 12 * time.Hour
	maxClockSkew        = time.Hour // how far the clock of a client may be behind
)

// Keys of the CA in the Secret.
const (
	caName     = "apptoken-operator-ca"
	caCertFile = "ca.crt"
	caKeyFile  = "ca.key"
)

// SecretReconciler reconciles the Secret with the certificate of the endpoints. It creates the CA
// and the certificate, and renews them before they expire.
//
//	missing --made again, with the same CA where this replica knows it--> complete
//	empty, or the CA is at its end --new CA--> complete --certificate is at its end--> complete
type SecretReconciler struct {
	client            client.Client // without a cache: the Secret is read only when it has changed
	key               types.NamespacedName
	certFile, keyFile string // keys of the Secret
	rotator           rotator.CertRotator
	now               func() time.Time
	log               logr.Logger

	// lastData holds the last files of the Secret in this term of leadership, so that a deletion
	// does not lose the CA.
	lastData map[string][]byte
}

// SecretOptions are the options of the Secret.
type SecretOptions struct {
	Key types.NamespacedName
	// CertFile and KeyFile are the files that the Secret is mounted as; their names are its keys.
	CertFile, KeyFile string
	DNSNames          []string // in the certificate; at least one
	Now               func() time.Time
}

// NewSecretReconciler returns the reconciler of the Secret. direct has no cache.
func NewSecretReconciler(direct client.Client, o SecretOptions) *SecretReconciler {
	return &SecretReconciler{
		client: direct, key: o.Key, certFile: filepath.Base(o.CertFile), keyFile: filepath.Base(o.KeyFile),
		rotator: rotator.CertRotator{
			CAName: caName, CAOrganization: "apptoken", DNSName: o.DNSNames[0], ExtraDNSNames: o.DNSNames[1:],
			ExtKeyUsages: &[]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		},
		now: o.Now, log: ctrl.Log.WithName("certificates"),
	}
}

// SetupWithManager reconciles at the start, whenever the Secret changes or is deleted, and every
// certificateCheck.
func (c *SecretReconciler) SetupWithManager(mgr manager.Manager, secrets cache.Cache) error {
	// Another replica may have led since, and an administrator may have discarded that CA.
	c.lastData = nil
	request := reconcile.Request{NamespacedName: c.key}
	isIt := predicate.NewTypedPredicateFuncs(func(s *corev1.Secret) bool { return s.Name == c.key.Name })
	return ctrl.NewControllerManagedBy(mgr).
		Named("certificate").
		WatchesRawSource(source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			q.Add(request) // also if there is no Secret
			return nil
		})).
		WatchesRawSource(source.Kind(secrets, &corev1.Secret{}, &handler.TypedEnqueueRequestForObject[*corev1.Secret]{}, isIt)).
		Complete(c)
}

// Reconcile implements reconcile.Reconciler.
func (c *SecretReconciler) Reconcile(ctx context.Context, _ reconcile.Request) (ctrl.Result, error) {
	// A list of one: in its own namespace, the operator may not get other Secrets by name.
	var found corev1.SecretList
	if err := c.client.List(ctx, &found, client.InNamespace(c.key.Namespace), client.MatchingFields{"metadata.name": c.key.Name}); err != nil {
		return ctrl.Result{}, fmt.Errorf("read the Secret of the certificate: %w", err)
	}
	done := ctrl.Result{RequeueAfter: certificateCheck}
	if len(found.Items) == 0 {
		return done, c.create(ctx)
	}
	secret := &found.Items[0]
	data, err := c.renewedData(secret.Data)
	if err != nil {
		return ctrl.Result{}, err
	}
	if data != nil {
		secret.Data = data
		if err := c.client.Update(ctx, secret); apierrors.IsConflict(err) {
			return ctrl.Result{}, nil // the event of the conflicting write brings the newer version
		} else if err != nil {
			return ctrl.Result{}, fmt.Errorf("write the Secret of the certificate: %w", err)
		}
		c.log.Info("created the certificate of the endpoints", "secret", c.key.Name)
	}
	c.lastData = c.files(secret.Data)
	return done, nil
}

// files returns the part of the Secret's data that the operator writes. config/policy denies it to
// create the Secret with any other key.
func (c *SecretReconciler) files(data map[string][]byte) map[string][]byte {
	own := map[string][]byte{}
	for _, key := range []string{caCertFile, caKeyFile, c.certFile, c.keyFile} {
		if value, there := data[key]; there {
			own[key] = value
		}
	}
	return own
}

// create creates the missing Secret, with its last files if this replica knows them.
func (c *SecretReconciler) create(ctx context.Context) error {
	data := maps.Clone(c.lastData)
	renewed, err := c.renewedData(data)
	if err != nil {
		return err
	}
	if renewed != nil {
		data = renewed
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.key.Namespace, Name: c.key.Name}, Type: corev1.SecretTypeOpaque, Data: data}
	if err := c.client.Create(ctx, secret); apierrors.IsAlreadyExists(err) {
		return nil // its event brings it
	} else if err != nil {
		return fmt.Errorf("the Secret %s of the certificate of the endpoints is missing in namespace %s and cannot be created: create it, empty, with \"kubectl create secret generic %s -n %s\": %w",
			c.key.Name, c.key.Namespace, c.key.Name, c.key.Namespace, err)
	}
	c.log.Info("created the missing Secret of the certificate of the endpoints", "secret", c.key.Name, "sameCA", c.lastData != nil)
	c.lastData = c.files(data)
	return nil
}

// renewedData returns the new content of the Secret, or nil if the content is complete and not
// about to expire.
func (c *SecretReconciler) renewedData(data map[string][]byte) (map[string][]byte, error) {
	now := c.now()
	soon := now.Add(certificateRenewal)
	begin := now.Add(-maxClockSkew)
	ca, err := parseCA(data[caCertFile], data[caKeyFile])
	if err != nil || !isCAValid(data, soon) {
		if ca, err = c.rotator.CreateCACert(begin, now.Add(caLifetime)); err != nil {
			return nil, fmt.Errorf("create the CA of the endpoints: %w", err)
		}
	} else if c.isCertificateValid(data, soon) {
		return nil, nil
	}
	cert, key, err := c.rotator.CreateCertPEM(ca, begin, now.Add(certificateLifetime))
	if err != nil {
		return nil, fmt.Errorf("create the certificate of the endpoints: %w", err)
	}
	next := maps.Clone(data)
	if next == nil {
		next = map[string][]byte{}
	}
	next[caCertFile], next[caKeyFile], next[c.certFile], next[c.keyFile] = ca.CertPEM, ca.KeyPEM, cert, key
	return next, nil
}

// isCAValid reports whether the CA in the Secret has its key, and is valid at an instant.
func isCAValid(data map[string][]byte, at time.Time) bool {
	ok, err := rotator.ValidCert(data[caCertFile], data[caCertFile], data[caKeyFile], caName, nil, at)
	return err == nil && ok
}

// isCertificateValid reports whether the certificate in the Secret is valid at an instant, for the
// DNS name of the endpoints. Its CA and its key must be in the Secret too.
func (c *SecretReconciler) isCertificateValid(data map[string][]byte, at time.Time) bool {
	ok, err := rotator.ValidCert(data[caCertFile], data[c.certFile], data[c.keyFile], c.rotator.DNSName, c.rotator.ExtKeyUsages, at)
	return err == nil && ok
}

// parseCA parses a CA in the form that CreateCACert returns.
func parseCA(cert, key []byte) (*rotator.KeyPairArtifacts, error) {
	certBlock, _ := pem.Decode(cert)
	keyBlock, _ := pem.Decode(key)
	if certBlock == nil || keyBlock == nil {
		return nil, errors.New("the CA of the endpoints is not in PEM")
	}
	parsed, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse the CA of the endpoints: %w", err)
	}
	private, err := x509.ParsePKCS1PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, errors.New("parse the key of the CA of the endpoints: it is not in PKCS #1")
	}
	return &rotator.KeyPairArtifacts{Cert: parsed, Key: private, CertPEM: cert, KeyPEM: key}, nil
}
