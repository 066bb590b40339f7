package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/token"
)

var (
	tokenKey  = types.NamespacedName{Namespace: "shop", Name: "indexer"}
	secretKey = types.NamespacedName{Namespace: "shop", Name: "indexer-token"}
)

// runDemo runs the demo from beginning to end.
func runDemo(ctx context.Context, operator string, once bool) (err error) {
	began := time.Now()
	fmt.Println("Starting a real kube-apiserver and etcd, and the operator ...")
	s, err := startEnvironment(ctx, operator)
	defer func() {
		if torn := s.teardown(); torn != nil {
			err = errors.Join(err, fmt.Errorf("clean up: %w", torn))
			return
		}
		fmt.Println("\nEverything that was started has ended.")
	}()
	if err != nil {
		return err
	}
	fmt.Printf("The cluster and the operator are ready, after %.1f s.\n", time.Since(began).Seconds())
	for _, chapter := range []func(*environment, context.Context) error{showIssue, showRecord, showRotation, showRetirement, showNextRotation, showVerification, showSuspension, showLogin} {
		if err := chapter(s, ctx); err != nil {
			return err
		}
	}
	if once {
		return nil
	}
	fmt.Printf(`
Try it yourself. In another terminal:

    export KUBECONFIG=%s
    export PATH=$PATH:%s   # if there is no kubectl yet
    export TOKEN=$(kubectl get secret indexer-token -n shop -o jsonpath='{.data.token}' | base64 -d)
    kubectl get apptokens -A
    %s

The page of the management API is at http://%s/ui/. The log of the operator is %s. Ctrl-C ends everything.
`, s.kubeconfig, os.Getenv("KUBEBUILDER_ASSETS"), s.loginCommand(), s.endpointAddress, s.log)
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.operatorEnded:
		s.operatorEnded <- err
		return s.endError(err)
	}
}

func showIssue(s *environment, ctx context.Context) error {
	fmt.Println("\n1. The platform team declares a Client, and the application team declares two tokens.")
	if err := s.kubectl(ctx, "apply -k config/samples"); err != nil {
		return err
	}
	if _, err := s.waitToken(ctx, "the token to be issued", isReady); err != nil {
		return err
	}
	if err := s.kubectl(ctx, "get at -n shop"); err != nil {
		return err
	}
	fmt.Println("   Both tokens are issued. A condition of reporter reports the Deployment that it is to restart:")
	if err := s.waitCondition(ctx, "reporter", v1alpha1.ConditionRestarted); err != nil {
		return err
	}
	return s.kubectl(ctx, `get at reporter -n shop -o jsonpath='{.status.conditions[?(@.type=="Restarted")].message}{"\n"}'`)
}

func showRecord(s *environment, ctx context.Context) error {
	at, err := s.waitToken(ctx, "the token to be issued", isReady)
	if err != nil {
		return err
	}
	tok, err := s.secretToken(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("\n2. The Secret %s holds a token with the hint %s. No other object holds it; the record has its SHA-256:\n", secretKey, at.Status.Current.Hint)
	if err := s.kubectl(ctx, "get tokenrecord -n "+ownNamespace+" "+at.Status.Current.Record); err != nil {
		return err
	}
	if tok.Digest().RecordName() != at.Status.Current.Record {
		return errors.New("the record is not that of the token in the Secret")
	}
	fmt.Println("   The SHA-256 of the token in the Secret begins with the digits in the record's name. So the record is that of this token.")
	return nil
}

func showRotation(s *environment, ctx context.Context) error {
	before, err := s.secretToken(ctx)
	if err != nil {
		return err
	}
	fmt.Println("\n3. The application team requests a rotation, with a short overlap for this demonstration.")
	if err := s.kubectl(ctx, `patch at indexer -n shop --type=merge -p '{"spec":{"rotation":{"trigger":"2","retire":{"minOverlap":"5s","quietPeriod":"1s"}}}}'`); err != nil {
		return err
	}
	at, err := s.waitToken(ctx, "the rotation", func(at *v1alpha1.ApplicationToken) bool { return at.Status.Rotations == 1 && isReady(at) })
	if err != nil {
		return err
	}
	after, err := s.secretToken(ctx)
	if err != nil {
		return err
	}
	if before.Digest() == after.Digest() {
		return errors.New("the Secret still holds the previous token")
	}
	if len(at.Status.Predecessors) != 1 {
		return fmt.Errorf("there are %d predecessors, not one", len(at.Status.Predecessors))
	}
	fmt.Printf("   Version 2 (%s) is in the Secret. Version 1 (%s) stays valid, since pods may still hold it:\n", at.Status.Current.Hint, at.Status.Predecessors[0].Hint)
	return s.kubectl(ctx, "get tokenrecords -n "+ownNamespace+" --field-selector spec.owner.name=indexer")
}

func showRetirement(s *environment, ctx context.Context) error {
	tok, err := s.secretToken(ctx)
	if err != nil {
		return err
	}
	fmt.Println("\n4. A caller uses version 2, no caller uses version 1, and the overlap of five seconds ends ...")
	if err := s.waitUntil(ctx, "version 2 to be accepted", func() (bool, error) {
		status, _, err := s.callVerify(ctx, tok, "")
		return status == http.StatusOK, err
	}); err != nil {
		return err
	}
	if _, err := s.waitToken(ctx, "the predecessor to be retired", func(at *v1alpha1.ApplicationToken) bool { return len(at.Status.Predecessors) == 0 }); err != nil {
		return err
	}
	if err := s.kubectl(ctx, "get tokenrecords -n "+ownNamespace+" --field-selector spec.owner.name=indexer"); err != nil {
		return err
	}
	fmt.Println("   The record of version 1 is deleted, so no endpoint accepts that token any more.")
	return s.kubectl(ctx, "get events -n shop --field-selector involvedObject.name=indexer -o custom-columns=TYPE:.type,REASON:.reason,MESSAGE:.message")
}

func showNextRotation(s *environment, ctx context.Context) error {
	at, err := s.waitToken(ctx, "the token to be ready", isReady)
	if err != nil {
		return err
	}
	fmt.Printf("\n5. The next rotation is scheduled for %s.\n", at.Status.NextRotation.UTC().Format(time.RFC1123))
	return nil
}

func showVerification(s *environment, ctx context.Context) error {
	tok, err := s.secretToken(ctx)
	if err != nil {
		return err
	}
	fmt.Println("\n6. A gateway verifies the token at the endpoint /verify. TOKEN is the token in the Secret:")
	if status, err := s.verify(ctx, tok, "TOKEN", "?permission=search.query"); err != nil || status != http.StatusOK {
		return errors.Join(err, fmt.Errorf("/verify answers %d", status))
	}
	fmt.Println("   An API server verifies it by TokenReview. RBAC decides what it may do there:")
	const bound = "shop-sees-pods"
	for _, line := range []string{
		"create role " + bound + " -n shop --verb=list --resource=pods",
		"create rolebinding " + bound + " -n shop --role=" + bound + " --group=apptoken:role:acme:primary",
	} {
		if err := s.kubectl(ctx, line); err != nil {
			return err
		}
	}
	bearing := "--kubeconfig=" + s.anonymousKubeconfig + " --token=$TOKEN "
	if err := s.kubectlWith(ctx, bearing+"auth whoami", tok.Reveal()); err != nil {
		return err
	}
	if err := s.waitUntil(ctx, "the API server to apply the binding", func() (bool, error) {
		_, err := s.run(ctx, strings.Fields("--kubeconfig="+s.anonymousKubeconfig+" --token="+tok.Reveal()+" get pods -n shop")...)
		return err == nil, nil // it is forbidden until then
	}); err != nil {
		return err
	}
	return s.kubectlWith(ctx, bearing+"get pods -n shop", tok.Reveal())
}

func showSuspension(s *environment, ctx context.Context) error {
	tok, err := s.secretToken(ctx)
	if err != nil {
		return err
	}
	fmt.Println("\n7. The platform team suspends the Client, which stops all of its tokens:")
	if err := s.kubectl(ctx, `patch client acme --type=merge -p '{"spec":{"state":"Suspended"}}'`); err != nil {
		return err
	}
	if err := s.waitUntil(ctx, "/verify to reject the token", func() (bool, error) {
		status, _, err := s.callVerify(ctx, tok, "")
		return status == http.StatusUnauthorized, err
	}); err != nil {
		return err
	}
	if _, err := s.verify(ctx, tok, "TOKEN", ""); err != nil {
		return err
	}
	fmt.Println("   When the Client is active again, its tokens are valid again:")
	if err := s.kubectl(ctx, `patch client acme --type=merge -p '{"spec":{"state":"Active"}}'`); err != nil {
		return err
	}
	return s.waitUntil(ctx, "/verify to accept the token", func() (bool, error) {
		status, _, err := s.callVerify(ctx, tok, "")
		return status == http.StatusOK, err
	})
}

// verify calls the endpoint as a gateway does, and prints the request and the response.
func (s *environment) verify(ctx context.Context, tok token.Token, called, query string) (int, error) {
	fmt.Printf("  $ curl -i -H \"Authorization: Bearer $%s\" 'http://%s/verify%s'\n", called, s.endpointAddress, query)
	status, header, err := s.callVerify(ctx, tok, query)
	if err != nil {
		return 0, err
	}
	fmt.Println("    HTTP/1.1", status, http.StatusText(status))
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if strings.HasPrefix(name, "X-Apptoken-") || name == "Www-Authenticate" {
			fmt.Printf("    %s: %s\n", name, header.Get(name))
		}
	}
	return status, nil
}

// callVerify calls /verify with a token.
func (s *environment) callVerify(ctx context.Context, tok token.Token, query string) (status int, header http.Header, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.endpointAddress+"/verify"+query, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+tok.Reveal())
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, fmt.Errorf("call /verify: %w", err)
	}
	return answer.StatusCode, answer.Header, answer.Body.Close()
}

// waitToken waits until the token indexer satisfies a condition.
func (s *environment) waitToken(ctx context.Context, what string, wanted func(*v1alpha1.ApplicationToken) bool) (*v1alpha1.ApplicationToken, error) {
	at := &v1alpha1.ApplicationToken{}
	err := s.waitUntil(ctx, what, func() (bool, error) {
		if err := s.client.Get(ctx, tokenKey, at); err != nil {
			return false, err
		}
		return wanted(at), nil
	})
	return at, err
}

// waitCondition waits until a token has a condition with a message.
func (s *environment) waitCondition(ctx context.Context, name, kind string) error {
	var at v1alpha1.ApplicationToken
	return s.waitUntil(ctx, "the condition "+kind+" of "+name, func() (bool, error) {
		if err := s.client.Get(ctx, types.NamespacedName{Namespace: tokenKey.Namespace, Name: name}, &at); err != nil {
			return false, err
		}
		c := meta.FindStatusCondition(at.Status.Conditions, kind)
		return c != nil && c.Message != "", nil
	})
}

func isReady(at *v1alpha1.ApplicationToken) bool {
	c := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionReady)
	return c != nil && c.Status == "True" && c.ObservedGeneration == at.Generation
}

// secretToken reads the token from its Secret, as a workload would.
func (s *environment) secretToken(ctx context.Context) (token.Token, error) {
	var secret corev1.Secret
	if err := s.client.Get(ctx, secretKey, &secret); err != nil {
		return token.Token{}, fmt.Errorf("get the Secret: %w", err)
	}
	tok, err := token.Parse(string(secret.Data["token"]))
	if err != nil {
		return token.Token{}, fmt.Errorf("read the Secret: %w", err)
	}
	return tok, nil
}
