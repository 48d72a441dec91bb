(function () {
  var form = document.getElementById("passkey");
  if (!form || !window.PublicKeyCredential) return;
  var asked = JSON.parse(form.dataset.asked), isNew = "user" in asked;
  function bytes(text) {
    return Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), function (c) { return c.charCodeAt(0); });
  }
  function text(buffer) {
    var said = Array.from(new Uint8Array(buffer), function (byte) { return String.fromCharCode(byte); }).join("");
    return btoa(said).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }
  function answered(credential) {
    var said = credential.response, answer = { id: credential.id, clientDataJSON: text(said.clientDataJSON) };
    if (isNew) {
      answer.authenticatorData = text(said.getAuthenticatorData());
      answer.publicKey = text(said.getPublicKey());
    } else {
      answer.authenticatorData = text(said.authenticatorData);
      answer.signature = text(said.signature);
    }
    form.elements.answer.value = JSON.stringify(answer);
    form.submit();
  }
  form.hidden = false;
  asked.challenge = new TextEncoder().encode(asked.challenge);
  if (isNew) {
    asked.user.id = bytes(asked.user.id);
    asked.excludeCredentials.forEach(function (known) { known.id = bytes(known.id); });
  }
  form.addEventListener("submit", function (event) {
    event.preventDefault();
    var wish = { publicKey: asked }, devices = navigator.credentials;
    (isNew ? devices.create(wish) : devices.get(wish)).then(answered, function () {
      document.getElementById("passkey-said").textContent = "The device gave no answer. Try again, or use your password.";
    });
  });
})();
