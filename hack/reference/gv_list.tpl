{{- define "gvList" -}}
<!-- `make generate` writes this page from the comments in api/. Do not edit it. -->

# API reference

This page lists every field of every kind, in the words of `kubectl explain`. Examples, conditions,
events and the effect of each change are on the page of the kind:

| kind | written by | examples and effects |
| --- | --- | --- |
| [ApplicationToken](#applicationtoken) | the application team | [ApplicationToken](spec/applicationtoken.md) |
| [Client](#client) | the platform team | [Client](spec/client.md) |
| [TokenRecord](#tokenrecord) | the operator only | [TokenRecord](spec/tokenrecord.md) |
| [User](#user) | the platform team | [User](spec/user.md) |
{{ range . }}
{{- template "gvDetails" . }}
{{- end }}
{{- end -}}
