import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.Authenticator;
import java.net.CookieManager;
import java.net.PasswordAuthentication;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Logs in to the four systems as a program does that uses java.net.http.HttpClient.
 *
 * <p>Standard input has the address, the file with its CA, and two users, one value a line. The
 * program prints a line of JSON for each step. The trust store of the JVM has the CA.
 */
public class HttpClientProgram {
    static final String FORM = "application/x-www-form-urlencoded";
    static final HttpClient ANONYMOUS = HttpClient.newHttpClient();
    static String url, username, password, secondUsername, secondPassword;

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
        var user = answeringAs(username, password);
        var login = ask(ANONYMOUS, "funnelback: log in", "POST", "/admin-api/account/v1/login?remember-me=true", form("username", username, "password", password), "Content-Type", FORM);
        var token = login.headers().firstValue("X-Security-Token").orElseThrow();
        get(ANONYMOUS, "funnelback: call with the token", "/verify", "X-Security-Token", token);
        var cookies = new CookieManager();
        var jar = HttpClient.newBuilder().cookieHandler(cookies).build();
        ask(jar, "funnelback: log in, to be remembered by cookie", "POST", "/admin-api/account/v1/login?remember-me=true", form("username", username, "password", password), "Content-Type", FORM);
        get(jar, "funnelback: call with the cookie alone", "/verify");
        var tokens = "/admin-api/application-tokens/v1/application-token";
        var created = ask(user, "funnelback: create an application token", "PUT", tokens + "/report", BodyPublishers.noBody(), "Content-Type", "application/json");
        ask(user, "funnelback: create it again", "PUT", tokens + "/report", BodyPublishers.noBody(), "Content-Type", "application/json");
        get(ANONYMOUS, "funnelback: list application tokens", tokens, "X-Security-Token", token);
        var application = member(created, "data");
        get(ANONYMOUS, "funnelback: call with the application token", "/verify", "X-Security-Token", application);
        ask(user, "funnelback: delete the application token", "DELETE", tokens + "/report", BodyPublishers.noBody());
        get(ANONYMOUS, "funnelback: call with the deleted token", "/verify", "X-Security-Token", application);
    }

    static void squizDXP() throws Exception {
        var user = answeringAs(username, password);
        var crawler = "/application-tokens/v1/clients/acme/application-token/crawler";
        var created = ask(user, "squiz dxp: create a token of a client", "PUT", crawler, BodyPublishers.ofString("{\"roles\": [\"client~primary\"]}"), "Content-Type", "application/json");
        get(ANONYMOUS, "squiz dxp: call with the token", "/verify", "X-Security-Token", member(created, "data"));
        ask(user, "squiz dxp: delete the token", "DELETE", crawler, BodyPublishers.noBody());
    }

    static void teleTracker() throws Exception {
        var login = post("teletracker: log in with a form", "/auth/login", "username", username, "password", password);
        var json = "{\"username\": \"" + username + "\", \"password\": \"" + password + "\"}";
        ask(ANONYMOUS, "teletracker: log in with JSON", "POST", "/auth/login", BodyPublishers.ofString(json), "Content-Type", "application/json");
        var parts = part("username", username) + part("password", password) + "--XX--\r\n";
        ask(ANONYMOUS, "teletracker: log in with multipart", "POST", "/auth/login", BodyPublishers.ofString(parts), "Content-Type", "multipart/form-data; boundary=XX");
        get(ANONYMOUS, "teletracker: call with the token", "/verify", "Authorization", "Bearer " + member(login, "token"));
        post("an hour passes", "/test/hour");
        get(ANONYMOUS, "teletracker: call with the expired token", "/verify", "Authorization", "Bearer " + member(login, "token"));
        var renewed = post("teletracker: refresh", "/auth/refresh", "refresh_token", member(login, "refreshToken"));
        get(ANONYMOUS, "teletracker: call with the new token", "/verify", "Authorization", "Bearer " + member(renewed, "token"));
        get(answeringAs(username, password), "teletracker: call with Basic", "/verify");
        var integrator = "Integrator " + encode(username, password);
        ask(ANONYMOUS, "teletracker: Integrator at an account", "POST", "/auth/login", form("account_id", "2002"), "Content-Type", FORM, "Authorization", integrator);
        ask(ANONYMOUS, "teletracker: Integrator without an account", "POST", "/auth/login", BodyPublishers.noBody(), "Authorization", integrator);
    }

    static void spectrum() throws Exception {
        var cookies = new CookieManager();
        var login = HttpClient.newBuilder().cookieHandler(cookies).authenticator(passwordOf(username, password)).build();
        var opened = get(login, "spectrum: get a session token", "/security/rest/token/access/session/60");
        var token = "Bearer " + member(opened, "access_token");
        // A client with an Authenticator repeats the password in each request, in place of the token.
        var session = HttpClient.newBuilder().cookieHandler(cookies).build();
        get(session, "spectrum: call with the cookie", "/verify", "Authorization", token);
        get(ANONYMOUS, "spectrum: call without the cookie", "/verify", "Authorization", token);
        get(session, "spectrum: log out", "/security/rest/token/logout", "Authorization", token);
        get(ANONYMOUS, "spectrum: call after the logout", "/verify", "Authorization", token, "Cookie", "SESSION=" + member(opened, "session"));
        var open = get(answeringAs(username, password), "spectrum: get an open token", "/security/rest/token/access/60");
        get(ANONYMOUS, "spectrum: call with the open token", "/verify", "Authorization", "Bearer " + member(open, "access_token"));
        // The challenge says charset="UTF-8", so the client encodes the name in UTF-8.
        get(answeringAs(secondUsername, secondPassword), "spectrum: get an open token, with letters beyond ASCII", "/security/rest/token/access/60");
    }

    static void failures() throws Exception {
        try {
            get(answeringAs(username, "wrong"), "failures: a wrong password", "/security/rest/token/access/5");
        } catch (IOException tooMany) { // the client has asked its Authenticator three times
            print("failures: a wrong password", 401, null);
        }
        for (var attempt = 0; attempt < 11; attempt++) {
            post("failures: too many attempts", "/auth/login", "username", secondUsername, "password", "wrong");
        }
        post("an hour passes", "/test/hour");
        post("failures: log in after the wait", "/auth/login", "username", secondUsername, "password", secondPassword);
    }

    /** Returns a client that answers challenges with a name and a password. */
    static HttpClient answeringAs(String name, String secret) {
        return HttpClient.newBuilder().authenticator(passwordOf(name, secret)).build();
    }

    static Authenticator passwordOf(String name, String secret) {
        return new Authenticator() {
            @Override
            protected PasswordAuthentication getPasswordAuthentication() {
                return new PasswordAuthentication(name, secret.toCharArray());
            }
        };
    }

    static HttpResponse<String> get(HttpClient client, String step, String path, String... headers) throws Exception {
        return ask(client, step, "GET", path, BodyPublishers.noBody(), headers);
    }

    static HttpResponse<String> post(String step, String path, String... fields) throws Exception {
        return ask(ANONYMOUS, step, "POST", path, form(fields), "Content-Type", FORM);
    }

    /** Sends a request, and prints its status. */
    static HttpResponse<String> ask(HttpClient client, String step, String method, String path, BodyPublisher body, String... headers) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(url + path)).timeout(Duration.ofSeconds(30)).method(method, body);
        if (headers.length > 0) {
            request.headers(headers);
        }
        var answer = client.send(request.build(), BodyHandlers.ofString());
        print(step, answer.statusCode(), answer.headers().firstValue("Retry-After").orElse(null));
        return answer;
    }

    static void print(String step, int status, String retryAfter) {
        System.out.println("{\"step\": \"" + step + "\", \"status\": " + status + (retryAfter == null ? "" : ", \"retryAfter\": " + retryAfter) + "}");
    }

    static BodyPublisher form(String... pairs) {
        var text = new StringBuilder();
        for (var i = 0; i < pairs.length; i += 2) {
            text.append(i > 0 ? "&" : "").append(pairs[i]).append('=').append(URLEncoder.encode(pairs[i + 1], StandardCharsets.UTF_8));
        }
        return BodyPublishers.ofString(text.toString());
    }

    static String encode(String name, String secret) {
        return Base64.getEncoder().encodeToString((name + ":" + secret).getBytes(StandardCharsets.UTF_8));
    }

    static String part(String name, String value) {
        return "--XX\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n";
    }

    /** Returns a member of a JSON answer that is a text. */
    static String member(HttpResponse<String> answer, String name) {
        Matcher found = Pattern.compile("\"" + name + "\":\\s*\"([^\"]*)\"").matcher(answer.body());
        if (!found.find()) {
            throw new IllegalStateException("no " + name + " in an answer with status " + answer.statusCode());
        }
        return found.group(1);
    }
}
