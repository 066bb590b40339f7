import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.Authenticator;
import java.net.CookieHandler;
import java.net.CookieManager;
import java.net.HttpURLConnection;
import java.net.PasswordAuthentication;
import java.net.URL;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Logs in to the four systems as a program does that uses java.net.HttpURLConnection.
 *
 * <p>Standard input has the address, the file with its CA, and two users, one value a line. The
 * program prints a line of JSON for each step. The trust store of the JVM has the CA.
 */
public class URLConnectionProgram {
    static final String FORM = "application/x-www-form-urlencoded";
    static final Authenticator ANONYMOUS = null;
    static String url, username, password, secondUsername, secondPassword;

    record Answer(int status, String body, HttpURLConnection connection) {}

    public static void main(String[] args) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        url = in.readLine();
        in.readLine();
        username = in.readLine();
        password = in.readLine();
        secondUsername = in.readLine();
        secondPassword = in.readLine();
        funnelback();
        squizDXP();
        teleTracker();
        spectrum();
        failures();
    }

    static void funnelback() throws Exception {
        var user = passwordOf(username, password);
        var login = post("funnelback: log in", "/admin-api/account/v1/login?remember-me=true", "username", username, "password", password);
        var token = login.connection.getHeaderField("X-Security-Token");
        get(ANONYMOUS, "funnelback: call with the token", "/verify", "X-Security-Token", token);
        var cookies = new CookieManager();
        CookieHandler.setDefault(cookies);
        post("funnelback: log in, to be remembered by cookie", "/admin-api/account/v1/login?remember-me=true", "username", username, "password", password);
        get(ANONYMOUS, "funnelback: call with the cookie alone", "/verify");
        CookieHandler.setDefault(null);
        var tokens = "/admin-api/application-tokens/v1/application-token";
        var created = ask(user, "funnelback: create an application token", "PUT", tokens + "/report", null, "Content-Type", "application/json");
        ask(user, "funnelback: create it again", "PUT", tokens + "/report", null, "Content-Type", "application/json");
        get(ANONYMOUS, "funnelback: list application tokens", tokens, "X-Security-Token", token);
        var application = member(created, "data");
        get(ANONYMOUS, "funnelback: call with the application token", "/verify", "X-Security-Token", application);
        ask(user, "funnelback: delete the application token", "DELETE", tokens + "/report", null);
        get(ANONYMOUS, "funnelback: call with the deleted token", "/verify", "X-Security-Token", application);
    }

    static void squizDXP() throws Exception {
        var user = passwordOf(username, password);
        var crawler = "/application-tokens/v1/clients/acme/application-token/crawler";
        var created = ask(user, "squiz dxp: create a token of a client", "PUT", crawler, "{\"roles\": [\"client~primary\"]}", "Content-Type", "application/json");
        get(ANONYMOUS, "squiz dxp: call with the token", "/verify", "X-Security-Token", member(created, "data"));
        ask(user, "squiz dxp: delete the token", "DELETE", crawler, null);
    }

    static void teleTracker() throws Exception {
        var login = post("teletracker: log in with a form", "/auth/login", "username", username, "password", password);
        var json = "{\"username\": \"" + username + "\", \"password\": \"" + password + "\"}";
        ask(ANONYMOUS, "teletracker: log in with JSON", "POST", "/auth/login", json, "Content-Type", "application/json");
        var parts = part("username", username) + part("password", password) + "--XX--\r\n";
        ask(ANONYMOUS, "teletracker: log in with multipart", "POST", "/auth/login", parts, "Content-Type", "multipart/form-data; boundary=XX");
        get(ANONYMOUS, "teletracker: call with the token", "/verify", "Authorization", "Bearer " + member(login, "token"));
        post("an hour passes", "/test/hour");
        get(ANONYMOUS, "teletracker: call with the expired token", "/verify", "Authorization", "Bearer " + member(login, "token"));
        var renewed = post("teletracker: refresh", "/auth/refresh", "refresh_token", member(login, "refreshToken"));
        get(ANONYMOUS, "teletracker: call with the new token", "/verify", "Authorization", "Bearer " + member(renewed, "token"));
        get(passwordOf(username, password), "teletracker: call with Basic", "/verify");
        var integrator = "Integrator " + encode(username, password);
        ask(ANONYMOUS, "teletracker: Integrator at an account", "POST", "/auth/login", form("account_id", "2002"), "Content-Type", FORM, "Authorization", integrator);
        ask(ANONYMOUS, "teletracker: Integrator without an account", "POST", "/auth/login", "", "Authorization", integrator);
    }

    static void spectrum() throws Exception {
        var user = passwordOf(username, password);
        var cookies = new CookieManager(); // all connections share it, as long as it is the default
        CookieHandler.setDefault(cookies);
        var opened = get(user, "spectrum: get a session token", "/security/rest/token/access/session/60");
        var token = "Bearer " + member(opened, "access_token");
        get(ANONYMOUS, "spectrum: call with the cookie", "/verify", "Authorization", token);
        CookieHandler.setDefault(null);
        get(ANONYMOUS, "spectrum: call without the cookie", "/verify", "Authorization", token);
        CookieHandler.setDefault(cookies);
        get(ANONYMOUS, "spectrum: log out", "/security/rest/token/logout", "Authorization", token);
        CookieHandler.setDefault(null);
        get(ANONYMOUS, "spectrum: call after the logout", "/verify", "Authorization", token, "Cookie", "SESSION=" + member(opened, "session"));
        var open = get(user, "spectrum: get an open token", "/security/rest/token/access/60");
        get(ANONYMOUS, "spectrum: call with the open token", "/verify", "Authorization", "Bearer " + member(open, "access_token"));
        // The challenge says charset="UTF-8", so the connection encodes the name in UTF-8.
        get(passwordOf(secondUsername, secondPassword), "spectrum: get an open token, with letters beyond ASCII", "/security/rest/token/access/60");
    }

    static void failures() throws Exception {
        get(passwordOf(username, "wrong"), "failures: a wrong password", "/security/rest/token/access/5");
        for (var attempt = 0; attempt < 11; attempt++) {
            post("failures: too many attempts", "/auth/login", "username", secondUsername, "password", "wrong");
        }
        post("an hour passes", "/test/hour");
        post("failures: log in after the wait", "/auth/login", "username", secondUsername, "password", secondPassword);
    }

    static Authenticator passwordOf(String name, String secret) {
        return new Authenticator() {
            @Override
            protected PasswordAuthentication getPasswordAuthentication() {
                return new PasswordAuthentication(name, secret.toCharArray());
            }
        };
    }

    static Answer get(Authenticator user, String step, String path, String... headers) throws Exception {
        return ask(user, step, "GET", path, null, headers);
    }

    static Answer post(String step, String path, String... fields) throws Exception {
        return ask(ANONYMOUS, step, "POST", path, form(fields), "Content-Type", FORM);
    }

    /** Sends a request, and prints its status. */
    static Answer ask(Authenticator user, String step, String method, String path, String body, String... headers) throws Exception {
        var connection = (HttpURLConnection) new URL(url + path).openConnection();
        connection.setRequestMethod(method);
        connection.setConnectTimeout(30_000);
        connection.setReadTimeout(30_000);
        if (user != null) {
            connection.setAuthenticator(user);
        }
        for (var i = 0; i < headers.length; i += 2) {
            connection.setRequestProperty(headers[i], headers[i + 1]);
        }
        if (body != null) {
            connection.setDoOutput(true);
            connection.getOutputStream().write(body.getBytes(StandardCharsets.UTF_8));
        }
        var answer = new Answer(connection.getResponseCode(), read(connection), connection);
        var retryAfter = connection.getHeaderField("Retry-After");
        System.out.println("{\"step\": \"" + step + "\", \"status\": " + answer.status + (retryAfter == null ? "" : ", \"retryAfter\": " + retryAfter) + "}");
        return answer;
    }

    static String read(HttpURLConnection connection) throws IOException {
        InputStream body = connection.getResponseCode() < 400 ? connection.getInputStream() : connection.getErrorStream();
        return body == null ? "" : new String(body.readAllBytes(), StandardCharsets.UTF_8);
    }

    static String form(String... pairs) {
        var text = new StringBuilder();
        for (var i = 0; i < pairs.length; i += 2) {
            text.append(i > 0 ? "&" : "").append(pairs[i]).append('=').append(URLEncoder.encode(pairs[i + 1], StandardCharsets.UTF_8));
        }
        return text.toString();
    }

    static String encode(String name, String secret) {
        return Base64.getEncoder().encodeToString((name + ":" + secret).getBytes(StandardCharsets.UTF_8));
    }

    static String part(String name, String value) {
        return "--XX\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n";
    }

    /** Returns a member of a JSON answer that is a text. */
    static String member(Answer answer, String name) {
        Matcher found = Pattern.compile("\"" + name + "\":\\s*\"([^\"]*)\"").matcher(answer.body);
        if (!found.find()) {
            throw new IllegalStateException("no " + name + " in an answer with status " + answer.status);
        }
        return found.group(1);
    }
}
