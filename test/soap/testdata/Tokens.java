import com.pb.spectrum.platform.server.common.security.token.TokenInfo;
import com.pb.spectrum.platform.server.common.security.token.TokenManagerService;
import com.pb.spectrum.platform.server.common.security.token.TokenManagerServiceImplService;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.HttpURLConnection;
import java.net.URL;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import javax.xml.namespace.QName;
import javax.xml.soap.MessageFactory;
import javax.xml.soap.SOAPBody;
import javax.xml.soap.SOAPConstants;
import javax.xml.soap.SOAPMessage;
import javax.xml.ws.BindingProvider;
import javax.xml.ws.Dispatch;
import javax.xml.ws.Service;
import javax.xml.ws.handler.MessageContext;
import javax.xml.ws.soap.SOAPBinding;

/**
 * Calls the services of Spectrum with JAX-WS: by the classes that wsimport generates from the WSDL
 * document, and by messages, as the samples of Spectrum do. It reads the URL, a user name and a
 * password, each in a line, and writes what it got; see result in clients_test.go.
 */
public class Tokens {
    private static final String PB = "http://token.security.common.server.platform.spectrum.pb.com/";
    private static final String PRECISELY = "http://token.security.common.server.platform.spectrum.precisely.com/";

    private static String url, username, password;
    private static final Map<String, String> tokens = new TreeMap<>(), faults = new TreeMap<>(), statuses = new TreeMap<>();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        url = in.readLine();
        username = in.readLine();
        password = in.readLine();
        generated();
        messages("SOAP 1.1", PB, SOAPBinding.SOAP11HTTP_BINDING, SOAPConstants.SOAP_1_1_PROTOCOL);
        messages("SOAP 1.2", PB, SOAPBinding.SOAP12HTTP_BINDING, SOAPConstants.SOAP_1_2_PROTOCOL);
        messages("SOAP 1.1 of Precisely", PRECISELY, SOAPBinding.SOAP11HTTP_BINDING, SOAPConstants.SOAP_1_1_PROTOCOL);
        System.out.println("{\"tokens\":" + object(tokens) + ",\"faults\":" + object(faults) + ",\"statuses\":" + object(statuses) + "}");
    }

    /** Calls every operation by the classes that wsimport generated. */
    private static void generated() throws Exception {
        TokenManagerServiceImplService service = new TokenManagerServiceImplService(new URL(url + "/security/TokenManagerService?wsdl"));
        for (String version : List.of("SOAP 1.1", "SOAP 1.2")) {
            QName port = new QName(PB, version.equals("SOAP 1.1") ? "TokenManagerServiceImplPort" : "TokenManagerServiceImplPort12");
            TokenManagerService manager = service.getPort(port, TokenManagerService.class);
            authenticate(manager, password);
            issue(version + " getAccessToken", () -> manager.getAccessToken());
            issue(version + " getAccessExpiringToken", () -> manager.getAccessExpiringToken(5));
            issue(version + " getAccessSessionToken", () -> manager.getAccessSessionToken());
            issue(version + " getAccessExpiringSessionToken", () -> manager.getAccessExpiringSessionToken(5));
            issue(version + " getAccessTokenForAll", () -> manager.getAccessTokenForAll());
            issue(version + " getAccessExpiringTokenForAll", () -> manager.getAccessExpiringTokenForAll(5));
            issue(version + " getAccessOpenToken", () -> manager.getAccessOpenToken());
            issue(version + " getAccessExpiringOpenToken", () -> manager.getAccessExpiringOpenToken(5));
            issue(version + " wrong lifetime", () -> manager.getAccessExpiringToken(-5));
            TokenManagerService stranger = service.getPort(port, TokenManagerService.class);
            authenticate(stranger, "wrong");
            issue(version + " wrong password", () -> stranger.getAccessToken());
        }
    }

    private static void authenticate(Object port, String secret) {
        Map<String, Object> context = ((BindingProvider) port).getRequestContext();
        context.put(BindingProvider.USERNAME_PROPERTY, username);
        context.put(BindingProvider.PASSWORD_PROPERTY, secret);
    }

    private static void issue(String what, Callable<TokenInfo> call) throws Exception {
        try {
            TokenInfo issued = call.call();
            tokens.put(what, token(issued.getToken(), issued.getSession(), issued.getUsername()));
        } catch (javax.xml.ws.WebServiceException e) {
            faults.put(what, quote(e.getMessage()));
        }
    }

    /** Gets a token, uses it and ends it, by messages. */
    private static void messages(String version, String namespace, String binding, String protocol) throws Exception {
        Dispatch<SOAPMessage> manager = dispatch("TokenManagerService", namespace, binding);
        authenticate(manager, password);
        SOAPMessage request = MessageFactory.newInstance(protocol).createMessage();
        request.getSOAPBody().addBodyElement(new QName(namespace, "getAccessExpiringToken", "tok")).addChildElement("tokenLifeInMinutes").addTextNode("5");
        SOAPBody body = manager.invoke(request).getSOAPBody();
        String token = text(body, "token"), session = text(body, "session");
        tokens.put(version + " ended", token(token, session, text(body, "username")));

        String cookies = "spectrum.authentication.token=" + token + "; SESSION=" + session;
        statuses.put(version + " with its session", get(cookies));
        statuses.put(version + " without a session", get("spectrum.authentication.token=" + token));
        Dispatch<SOAPMessage> logout = dispatch("TokenLogoutService", namespace, binding);
        logout.getRequestContext().put(MessageContext.HTTP_REQUEST_HEADERS, Map.of("Cookie", List.of(cookies)));
        SOAPMessage end = MessageFactory.newInstance(protocol).createMessage();
        end.getSOAPBody().addBodyElement(new QName(namespace, "logout", "tok"));
        logout.invoke(end);
        statuses.put(version + " logged out", get(cookies));
        try {
            logout.invoke(end);
        } catch (javax.xml.ws.WebServiceException e) {
            faults.put(version + " second logout", quote(e.getMessage()));
        }
    }

    /** Returns a Dispatch to a service, which the WSDL document must have. */
    private static Dispatch<SOAPMessage> dispatch(String name, String namespace, String binding) throws Exception {
        String at = url + "/security/" + name;
        Service service = Service.create(new URL(at + "?wsdl"), new QName(namespace, name + "ImplService"));
        QName port = new QName(namespace, "getAccessExpiringToken");
        service.addPort(port, binding, at);
        return service.createDispatch(port, SOAPMessage.class, Service.Mode.MESSAGE);
    }

    private static String text(SOAPBody body, String name) {
        return body.getElementsByTagName(name).item(0).getTextContent();
    }

    private static String get(String cookies) throws Exception {
        HttpURLConnection request = (HttpURLConnection) new URL(url + "/verify").openConnection();
        request.setRequestProperty("Cookie", cookies);
        return String.valueOf(request.getResponseCode());
    }

    private static String token(String token, String session, String username) {
        return "{\"token\":" + quote(token) + ",\"session\":" + quote(session) + ",\"username\":" + quote(username) + "}";
    }

    private static String quote(String text) {
        return text == null ? "null" : "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + "\"";
    }

    private static String object(Map<String, String> members) {
        StringJoiner all = new StringJoiner(",", "{", "}");
        members.forEach((name, value) -> all.add(quote(name) + ":" + value));
        return all.toString();
    }
}
