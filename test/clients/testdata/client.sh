#!/usr/bin/env bash
# Logs in to the four systems as a script does that uses curl.
#
# Standard input has the address, the file with its CA, and two users, one value a line. The script
# prints a line of JSON for each step.
set -euo pipefail

read -r url
read -r ca
read -r username
read -r password
read -r second_username
read -r second_password
export username password
dir=$(mktemp -d)
trap 'rm -r "$dir"' EXIT

# ask sends a request, and prints its status. The second argument has secrets, as options in a
# config file: on the command line, other users of the machine could read them.
ask() {
	local step=$1 secrets=$2 path=$3
	shift 3
	local status after
	status=$(curl -sS --cacert "$ca" -K - -D "$dir/headers" -o "$dir/body" -w '%{http_code}' "$@" "$url$path" <<<"$secrets")
	after=$(sed -n 's/^retry-after: *\([0-9]*\).*/, "retryAfter": \1/Ip' "$dir/headers")
	printf '{"step": "%s", "status": %s%s}\n' "$step" "$status" "$after"
}

# member prints a member of the last answer.
member() { jq -r ".$1" "$dir/body"; }

form_of() { printf 'data-urlencode = "%s"\n' "username=$1" "password=$2"; }
header() { printf 'header = "%s: %s"\n' "$1" "$2"; }
bearer() { header Authorization "Bearer $1"; }

form=$(form_of "$username" "$password")
basic="user = \"$username:$password\""

funnelback() {
	local token report=/admin-api/application-tokens/v1/application-token/report
	ask 'funnelback: log in' "$form" '/admin-api/account/v1/login?remember-me=true'
	token=$(header X-Security-Token "$(sed -n 's/^x-security-token: *//Ip' "$dir/headers" | tr -d '\r')")
	ask 'funnelback: call with the token' "$token" /verify
	ask 'funnelback: log in, to be remembered by cookie' "$form" '/admin-api/account/v1/login?remember-me=true' -c "$dir/jar"
	ask 'funnelback: call with the cookie alone' '' /verify -b "$dir/jar"
	ask 'funnelback: create an application token' "$basic" $report -X PUT -H 'Content-Type: application/json'
	local application
	application=$(header X-Security-Token "$(member data)")
	ask 'funnelback: create it again' "$basic" $report -X PUT -H 'Content-Type: application/json'
	ask 'funnelback: list application tokens' "$token" ${report%/report}
	ask 'funnelback: call with the application token' "$application" /verify
	ask 'funnelback: delete the application token' "$basic" $report -X DELETE
	ask 'funnelback: call with the deleted token' "$application" /verify
}

squiz_dxp() {
	local crawler=/application-tokens/v1/clients/acme/application-token/crawler
	ask 'squiz dxp: create a token of a client' "$basic" $crawler -X PUT --json '{"roles": ["client~primary"]}'
	ask 'squiz dxp: call with the token' "$(header X-Security-Token "$(member data)")" /verify
	ask 'squiz dxp: delete the token' "$basic" $crawler -X DELETE
}

teletracker() {
	local token refresh integrator
	ask 'teletracker: log in with a form' "$form" /auth/login
	token=$(bearer "$(member token)")
	refresh=$(member refreshToken)
	jq -n '{username: env.username, password: env.password}' >"$dir/login.json"
	ask 'teletracker: log in with JSON' '' /auth/login --json "@$dir/login.json"
	ask 'teletracker: log in with multipart' "${form//data-urlencode/form-string}" /auth/login
	ask 'teletracker: call with the token' "$token" /verify
	ask 'an hour passes' '' /test/hour -X POST
	ask 'teletracker: call with the expired token' "$token" /verify
	ask 'teletracker: refresh' "data-urlencode = \"refresh_token=$refresh\"" /auth/refresh
	ask 'teletracker: call with the new token' "$(bearer "$(member token)")" /verify
	ask 'teletracker: call with Basic' "$basic" /verify
	integrator=$(header Authorization "Integrator $(printf %s "$username:$password" | base64 -w0)")
	ask 'teletracker: Integrator at an account' "$integrator" /auth/login -d account_id=2002
	ask 'teletracker: Integrator without an account' "$integrator" /auth/login -X POST
}

spectrum() {
	local token jar=$dir/jar
	ask 'spectrum: get a session token' "$basic" /security/rest/token/access/session/60 -c "$jar"
	token=$(bearer "$(member access_token)")
	ask 'spectrum: call with the cookie' "$token" /verify -b "$jar"
	ask 'spectrum: call without the cookie' "$token" /verify
	ask 'spectrum: log out' "$token" /security/rest/token/logout -b "$jar" -c "$jar"
	ask 'spectrum: call after the logout' "$token" /verify -b "$jar"
	ask 'spectrum: get an open token' "$basic" /security/rest/token/access/60
	ask 'spectrum: call with the open token' "$(bearer "$(member access_token)")" /verify
	ask 'spectrum: get an open token, with letters beyond ASCII' "user = \"$second_username:$second_password\"" /security/rest/token/access/60
}

failures() {
	ask 'failures: a wrong password' "user = \"$username:wrong\"" /security/rest/token/access/5
	for _ in {1..11}; do
		ask 'failures: too many attempts' "$(form_of "$second_username" wrong)" /auth/login
	done
	ask 'an hour passes' '' /test/hour -X POST
	ask 'failures: log in after the wait' "$(form_of "$second_username" "$second_password")" /auth/login
}

# The file .netrc has the password of another user. curl sends it with each request.
netrc() {
	local token
	ask 'netrc: log in' "$form" /account/v1/login
	token=$(header X-Security-Token "$(sed -n 's/^x-security-token: *//Ip' "$dir/headers" | tr -d '\r')")
	ask 'netrc: call with a token' "$token" /verify --netrc-file "$NETRC"
	ask 'netrc: call the management API with a token' "$token" /application-tokens/v1/application-token --netrc-file "$NETRC"
}

funnelback
squiz_dxp
teletracker
spectrum
failures
netrc
