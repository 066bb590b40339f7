package v1alpha1

// State enables or disables a Client, a User or a TokenRecord.
// +kubebuilder:validation:Enum=Active;Suspended
type State string

const (
	// StateActive accepts credentials.
	StateActive State = "Active"
	// StateSuspended rejects every credential until the state is Active again.
	StateSuspended State = "Suspended"
)

// Duration is a length of time in whole hours, minutes and seconds, such as 720h, 90m or 1h30m. It
// is a string, so that the manifest in Git and the object in the cluster are the same.
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=26
// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$')",message="must be whole hours, minutes and seconds, such as 720h or 1h30m: not negative, at most 999999h"
type Duration string

// PositiveDuration is a Duration that is longer than zero.
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=26
// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$') && self.matches('[1-9]')",message="must be whole hours, minutes and seconds, such as 720h or 1h30m: more than zero, at most 999999h; remove the field if it is not wanted"
type PositiveDuration string

// RoleName names a role of a client, such as primary or client~primary.
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._~-]*$`
type RoleName string

// Permission is a right in dotted segments, such as search.query. A last segment of * stands for
// everything below: search.* covers search.query. A single * covers everything.
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:Pattern=`^(\*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?)$`
type Permission string

// SourceRange is a range of addresses in CIDR notation, such as 10.0.0.0/8 or fd00::/8.
// +kubebuilder:validation:MaxLength=43
// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="must be an address range such as 10.0.0.0/8 or fd00::/8"
type SourceRange string

// ObjectName is the name of an object.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of an object: lower case letters, digits, - and ."
type ObjectName string

// Reference names another object.
type Reference struct {
	// name of the object.
	// +required
	Name ObjectName `json:"name"`
}
