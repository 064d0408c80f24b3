// Where the links of newsletter mails lead while no browser app serves these pages. Opening a page
// changes nothing; only its buttons send the token of the fragment.

const TEXTS = {
  en: {
    confirm: ["Confirm your subscription", "One more step: press the button, and the newsletter comes to your mailbox.", "Subscribe"],
    confirmed: ["You are subscribed", "The next newsletter comes by mail. You can leave at any time."],
    unsubscribe: ["Leave the newsletter", "gets our newsletter. Press the button, and no more of it is sent.", "Unsubscribe"],
    preferences: ["Your newsletter", "Choose what is sent to", "Save"],
    left: ["You have left the newsletter", "No newsletter is sent to"], thisAddress: "this address",
    nobody: ["There is nothing to leave", "The address that this link was made for gets no newsletter (any more)."],
    comeBack: "Subscribe again", leave: "Leave the newsletter",
    topics: "Topics", all: "All topics, also new ones", retired: "no longer offered",
    frequency: "How often", each: "Each edition as it appears", daily: "A summary every day", weekly: "A summary every week",
    language: "Language", languages: { en: "English", fr: "Français" },
    saved: "Your choice is saved.", toPreferences: "Choose topics, language and how often",
    noTopic: "Choose at least one topic, or all of them.",
    changed: "This was changed in another window meanwhile. Please look at it again.",
    noToken: "This link is not complete. Please open it again from the mail.",
    offline: "That did not work. Please check your connection and try again.",
  },
  fr: {
    confirm: ["Confirmez votre abonnement", "Dernière étape : appuyez sur le bouton, et la lettre d’information arrivera dans votre boîte.", "M’abonner"],
    confirmed: ["Vous êtes abonné·e", "La prochaine lettre d’information arrivera par courriel. Vous pouvez vous désabonner à tout moment."],
    unsubscribe: ["Quitter la lettre d’information", "reçoit notre lettre d’information. Appuyez sur le bouton, et elle ne sera plus envoyée.", "Me désabonner"],
    preferences: ["Votre lettre d’information", "Choisissez ce qui est envoyé à", "Enregistrer"],
    left: ["Vous avez quitté la lettre d’information", "Aucune lettre d’information n’est envoyée à"], thisAddress: "cette adresse",
    nobody: ["Il n’y a rien à quitter", "L’adresse pour laquelle ce lien a été créé ne reçoit pas (ou plus) de lettre d’information."],
    comeBack: "M’abonner à nouveau", leave: "Quitter la lettre d’information",
    topics: "Thèmes", all: "Tous les thèmes, y compris les nouveaux", retired: "n’est plus proposé",
    frequency: "À quel rythme", each: "Chaque édition dès sa parution", daily: "Un résumé par jour", weekly: "Un résumé par semaine",
    language: "Langue", languages: { en: "English", fr: "Français" },
    saved: "Votre choix est enregistré.", toPreferences: "Choisir les thèmes, la langue et le rythme",
    noTopic: "Choisissez au moins un thème, ou tous.",
    changed: "Ceci a été modifié entre-temps dans une autre fenêtre. Veuillez vérifier.",
    noToken: "Ce lien n’est pas complet. Veuillez l’ouvrir à nouveau depuis le courriel.",
    offline: "Cela n’a pas fonctionné. Vérifiez votre connexion et réessayez.",
  },
};

const reader = navigator.language.startsWith("fr") ? "fr" : "en";
const texts = TEXTS[reader];
const page = location.pathname.split("/").pop();
const $ = (id) => document.getElementById(id);
let token = "";
let tag = "";
let submit = async () => {};

document.documentElement.lang = reader;
for (const [id, text] of Object.entries({
  "topics-label": texts.topics, "all-topics-label": texts.all, "frequency-label": texts.frequency,
  "language-label": texts.language, leave: texts.leave,
})) $(id).textContent = text;

// ---- Talking to the API

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function call(method, path, body) {
  const headers = { Accept: "application/json", "Accept-Language": reader };
  if (body) headers["Content-Type"] = "application/json";
  if (method === "PUT") headers["If-Match"] = tag;
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) {
    const details = (answer.errors ?? []).map((item) => item.message);
    throw new Refused(response.status, details.length ? details.join(" ") : answer.title);
  }
  tag = response.headers.get("ETag") ?? "";
  return answer;
}

const preferencesPath = () => `/v1/newsletter/preferences/${encodeURIComponent(token)}`;
const unsubscribePath = () => `/v1/newsletter/unsubscribe/${encodeURIComponent(token)}`;

// Buttons wait for the answer, so that pressing twice sends once.
async function attempt(action) {
  const buttons = [$("button"), $("leave")];
  buttons.forEach((each) => { each.disabled = true; });
  $("message").replaceChildren();
  try {
    await action();
  } catch (error) {
    $("message").textContent = error instanceof TypeError ? texts.offline : error.message;
  } finally {
    buttons.forEach((each) => { each.disabled = false; });
  }
}

// ---- Showing

function explain(before, email, after) {
  const strong = document.createElement("strong");
  strong.textContent = email ?? texts.thisAddress;
  $("explanation").replaceChildren(before, " ", strong, after ? ` ${after}` : ".");
}

// Whoever does not see the page hears the new heading, since it takes the focus.
function head(heading, { focus = false } = {}) {
  $("title").textContent = document.title = heading;
  if (focus) {
    $("title").tabIndex = -1;
    $("title").focus();
  }
}

function offer(action, next) {
  $("form").hidden = false;
  $("button").textContent = action;
  submit = next;
}

function showLeft(email, options) {
  head(texts.left[0], options);
  explain(texts.left[1], email);
  $("form").hidden = true;
}

// Of a link whose subscriber is gone, nobody knows whether they left.
function showNobody() {
  head(texts.nobody[0]);
  $("explanation").textContent = texts.nobody[1];
}

function option(type, name, value, label, checked) {
  const input = document.createElement("input");
  const text = document.createElement("span");
  const row = document.createElement("label");
  Object.assign(input, { type, name, value, checked });
  text.textContent = label;
  row.className = "option";
  row.append(input, text);
  return row;
}

function topicOption(topic, chosen) {
  const row = option("checkbox", "topic", topic.slug, topic.name, chosen.includes(topic.slug));
  const hint = topic.is_retired ? texts.retired : topic.description;
  if (hint) {
    const small = document.createElement("small");
    small.textContent = hint;
    row.querySelector("span").append(small);
  }
  return row;
}

// All topics and single ones exclude each other, and the page says so at once.
function showTopics(hasAll) {
  $("all-topics").checked = hasAll;
  $("topics").hidden = hasAll;
}

function showPreferences(answer, options = {}) {
  if (answer.status !== "subscribed") {
    showLeft(answer.email, options);
    $("fields").hidden = $("leave").hidden = true;
    $("consent").textContent = answer.choice.consent.text;
    const version = answer.choice.consent.version;
    offer(texts.comeBack, () => save({ status: "subscribed", consent_text_version: version }, { focus: true }));
    return;
  }
  const [heading, text, action] = texts.preferences;
  head(heading, options);
  explain(text, answer.email);
  $("consent").textContent = "";
  $("fields").hidden = $("leave").hidden = false;
  $("topics").replaceChildren(...answer.choice.topics.map((topic) => topicOption(topic, answer.topics)));
  showTopics(answer.topics.length === 0);
  $("frequencies").replaceChildren(...answer.choice.frequencies.map(
    (each) => option("radio", "frequency", each, texts[each], each === answer.frequency),
  ));
  $("language").replaceChildren(...answer.choice.languages.map(
    (each) => new Option(texts.languages[each] ?? each, each, false, each === answer.language),
  ));
  offer(action, saveChoice);
}

// ---- What the buttons do

async function save(changes, options) {
  try {
    showPreferences(await call("PUT", preferencesPath(), changes), options);
  } catch (error) {
    if (error.status !== 412) throw error;
    showPreferences(await call("GET", preferencesPath()));
    throw new Error(texts.changed);
  }
}

async function saveChoice() {
  const checked = (name) => [...document.querySelectorAll(`input[name=${name}]:checked`)].map((each) => each.value);
  const topics = $("all-topics").checked ? [] : checked("topic");
  if (!$("all-topics").checked && !topics.length) throw new Error(texts.noTopic);
  await save({ topics, frequency: checked("frequency")[0], language: $("language").value });
  $("message").textContent = texts.saved;
}

async function confirm() {
  const { preferences_token: own } = await call("POST", "/v1/newsletter/subscriptions/confirm", { token });
  head(texts.confirmed[0], { focus: true });
  $("explanation").textContent = texts.confirmed[1];
  $("form").hidden = true;
  const link = document.createElement("a");
  link.href = `/newsletter/preferences#token=${encodeURIComponent(own)}`;
  link.textContent = texts.toPreferences;
  $("message").append(link);
}

const PAGES = {
  confirm: async () => {
    const [heading, text, action] = texts.confirm;
    head(heading);
    $("explanation").textContent = text;
    offer(action, confirm);
  },
  unsubscribe: async () => {
    const [heading, text, action] = texts.unsubscribe;
    head(heading);
    const { email, status } = await call("GET", unsubscribePath());
    if (status !== "subscribed") return email ? showLeft(email) : showNobody();
    explain("", email, text);
    offer(action, async () => showLeft((await call("POST", unsubscribePath())).email, { focus: true }));
  },
  preferences: async () => {
    head(texts.preferences[0]);
    showPreferences(await call("GET", preferencesPath()));
  },
};

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(() => submit());
});
$("leave").addEventListener("click", () => attempt(() => save({ status: "unsubscribed" }, { focus: true })));
$("all-topics").addEventListener("change", (event) => showTopics(event.target.checked));
// A second link that is opened in the same window changes the fragment alone.
addEventListener("hashchange", start);

function start() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!found && token) return;
  token = found ?? "";
  // The token must not stay in the address bar, the history or a shared screen.
  history.replaceState(null, "", location.pathname);
  if (!token) {
    head(texts[page][0]);
    $("message").textContent = texts.noToken;
    return;
  }
  attempt(PAGES[page]);
}

start();
