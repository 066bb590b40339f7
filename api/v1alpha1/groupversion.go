package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of every kind in this package.
var GroupVersion = schema.GroupVersion{Group: "apptoken.dev", Version: "v1alpha1"}

// AddToScheme registers the kinds of this package in a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&Client{}, &ClientList{},
		&User{}, &UserList{},
		&ApplicationToken{}, &ApplicationTokenList{},
		&TokenRecord{}, &TokenRecordList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
