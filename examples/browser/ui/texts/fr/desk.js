const plural = (number, one, many) => (number < 2 ? one : many);

const time = (seconds) => {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
};

export default {
  // Les listes
  desk: "Espace de la rédaction",
  toDesk: "Espace de la rédaction",
  newAsset: "Nouveau contenu",
  tabs: { draft: "Brouillons", scheduled: "Programmés", published: "Publiés", withdrawn: "Retirés" },
  status: { draft: "Brouillon", scheduled: "Programmé", published: "Publié", withdrawn: "Retiré" },
  types: { video: "Vidéo", image: "Image", audio: "Son", story: "Reportage" },
  type: "Type",
  allTypes: "Tous les types",
  search: "Rechercher",
  lookedThrough: (number) => `Seuls les ${number} derniers ont été parcourus.`,
  moreAssets: "Afficher plus",
  showAll: "Tout afficher",
  nothingFound: "Rien ne correspond.",
  emptyLists: {
    draft: "Il n’y a pas de brouillon.",
    scheduled: "Rien n’attend son heure.",
    published: "Rien n’est encore public.",
    withdrawn: "Rien n’a été retiré.",
  },
  unsavedHere: "Non enregistré",
  changed: (ago) => `modifié ${ago}`,
  goesPublic: (ago) => `public ${ago}`,
  wasPublished: (ago) => `publié ${ago}`,
  wasWithdrawn: (ago) => `retiré ${ago}`,
  filesFailed: (number) => plural(number, "Un fichier en échec", `${number} fichiers en échec`),
  filesInWork: (number) => plural(number, "Un fichier en traitement", `${number} fichiers en traitement`),
  filesReady: (number) => plural(number, "1 fichier", `${number} fichiers`),
  noFile: "Aucun fichier",

  // Un nouveau contenu
  titleField: "Titre",
  titleHint: "Un titre provisoire suffit ; il peut être changé jusqu’à la publication, puis corrigé.",
  languageField: "Langue",
  create: "Créer",
  dontDoIt: "Annuler",
  orDrop: "Ou commencez par le fichier",
  orDropHint: "Le contenu est créé aussitôt, avec le nom du fichier, et l’envoi commence.",
  dropFiles: "Déposez des fichiers ici ou choisissez-les",

  // Son état
  visibility: "Visibilité",
  version: (number) => `Version ${number}`,
  isDraft: "Seule la rédaction le voit.",
  isScheduled: (ago) => `Seule la rédaction le voit. Il devient public ${ago} :`,
  isPublished: (when) => `Tout le monde le voit, depuis le ${when}.`,
  isWithdrawn: (when) => `Il a été retiré le ${when}. Son adresse dit pourquoi :`,
  openPublic: "Ouvrir sa page",
  until: (when) => `Il est retiré automatiquement à la fin des droits : ${when}.`,
  publish: "Publier…",
  changeSchedule: "Changer l’heure…",
  unschedule: "Revenir au brouillon",
  withdraw: "Retirer",
  deleteDraft: "Supprimer le brouillon",
  seePreview: "Aperçu",
  previewOnly: "Aperçu : vous seul le voyez",
  preview: "Aperçu du contenu",
  poster: "Image du contenu",
  previewInWork: "L’aperçu est en préparation.",
  noPreview: "L’aperçu apparaît ici dès qu’un fichier est prêt.",
  noPicture: "Une image apparaît ici dès qu’elle est envoyée.",
  close: "Fermer",
  contents: "Sur cette page",
  loading: "Chargement…",

  // L’enregistrement
  save: "Enregistrer",
  saveCorrection: "Enregistrer la correction",
  correctionNote: "Ce qui était faux",
  correctionNoteWho: "tout le monde peut le lire",
  allSaved: "Tout est enregistré",
  notSaved: (fields) => `Non enregistré : ${fields.join(", ")}`,
  discard: "Abandonner",
  discardSure: "Abandonner tout ce qui n’est pas enregistré ?",
  leaveUnsaved:
    "Des modifications ne sont pas enregistrées. Partir quand même ? Elles restent dans ce navigateur.",
  restored: (when) => `Ces modifications non enregistrées du ${when} étaient conservées dans ce navigateur.`,
  discardRestored: "Les abandonner",
  notKept:
    "Cet appareil ne peut pas conserver ce qui n’est pas encore enregistré : son stockage est plein ou " +
    "bloqué. Vous pouvez continuer comme d’habitude ; enregistrez simplement avant de fermer cette page.",
  closeNote: "Fermer cette note",
  conflictTitle: "Quelqu’un d’autre a modifié la même chose",
  conflictWhat: (when, number) =>
    `Une autre personne a enregistré ce contenu${when ? ` le ${when}` : ""}. ` +
    `${plural(number, "Un champ diffère", `${number} champs diffèrent`)} de ce que vous avez écrit ; ` +
    "le reste a été réuni. Rien de votre travail n’est perdu.",
  conflictNext:
    "Après votre choix, vous pouvez encore modifier le texte ci-dessous. Enregistrez ensuite de nouveau.",
  keepMine: "Garder le mien",
  takeTheirs: "Prendre le sien",

  // La publication
  publishTitle: "Publier",
  missing: "Vous souhaitez peut-être encore ajouter :",
  missingParts: {
    summary: "un chapeau ou un résumé",
    rights: "les conditions d’utilisation",
    file: "un fichier à télécharger",
    body: "le texte du reportage",
    processing: "les fichiers encore en traitement ; ils suivent d’eux-mêmes",
  },
  savedFirst: "Ce qui n’est pas encore enregistré l’est d’abord.",
  when: "Quand",
  now: "Maintenant",
  later: "Plus tard, sous embargo jusque-là",
  publishAt: "Date et heure",
  embargo: "Dans votre fuseau horaire. Jusque-là, seule la rédaction le voit.",
  publishNow: "Publier maintenant",
  schedule: "Programmer",
  withdrawTitle: "Retirer définitivement",
  withdrawWhat:
    "Il ne pourra pas être publié de nouveau. Sa page, ses fichiers et tous leurs liens cessent " +
    "de fonctionner, et l’adresse dit pourquoi.",
  reason: "Motif",
  reasonHint: "Tout le monde le lit désormais à son adresse.",
  deleteTitle: "Supprimer ce brouillon",
  deleteWhat: (title) =>
    `« ${title} », ses fichiers et son historique sont supprimés. Personne hors de la rédaction ne l’a vu.`,

  // Les fichiers
  files: "Fichiers",
  noFilesYet: "Il n’y a pas encore de fichier.",
  fileState: { pending: "En attente", processing: "En traitement", ready: "Prêt", failed: "Échec" },
  purpose: "Usage",
  purposes: {
    master: "Original",
    broadcast: "Diffusion",
    web: "Web",
    proxy: "Copie légère",
    audio: "Son",
    image: "Image",
    document: "Document",
  },
  renditionName: "Nom dans l’adresse",
  badRenditionName:
    "Minuscules, chiffres, points, traits d’union et soulignés ; ni « poster » ni « preview ».",
  replaces: "Remplace le fichier de ce nom.",
  chosenFiles: (number) => plural(number, "Un fichier choisi", `${number} fichiers choisis`),
  startUpload: "Envoyer",
  dontUpload: "Ne pas envoyer",
  uploading: "Envoi de",
  uploadState: {
    waiting: () => "Attend son tour",
    hashing: () => "Lecture du fichier…",
    sending: ({ percent, sent, of, speed, left }) =>
      [`${percent} %`, `${sent} sur ${of}`, speed && `${speed}/s`, left !== null && `encore ${time(left)}`]
        .filter(Boolean)
        .join(" · "),
    cut: ({ percent, isUnreachable }) =>
      `${percent} % · ${isUnreachable ? "La connexion est coupée ; l’envoi" : "L’envoi"} reprend de lui-même`,
    paused: ({ percent, sent, of }) => `En pause à ${percent} % · ${sent} sur ${of}`,
    failed: ({ percent }) => `Arrêté à ${percent} %`,
  },
  pause: "Pause",
  goOn: "Reprendre",
  chooseFile: "Choisir de nouveau le fichier",
  cancelUpload: "Annuler",
  cancelUploadSure: (name) => `Abandonner l’envoi de ${name} ? Ce qui est arrivé est supprimé.`,
  arrived: (name) => `Arrivé de ${name}`,
  chooseAgain: (percent) => `Interrompu. Choisissez le même fichier pour reprendre à ${percent} %.`,
  processing: "Traitement de",
  processingState: (percent) => (percent ? `En traitement · ${percent} %` : "En traitement"),
  framesPerSecond: (number) => `${number} images/s`,
  soundTracks: (number) => plural(number, "1 piste son", `${number} pistes son`),
  duplicate: "Le catalogue contient déjà ce même fichier :",
  duplicateLink: "le voir",
  removeFile: "Retirer",
  fileRemoved: "Le fichier est retiré",
  removeFileTitle: "Retirer ce fichier",
  removeFileWhat: (name) =>
    `${name} est retiré de ce brouillon, avec l’image et l’aperçu qui en ont été tirés.`,
  removeFilePublished: (name) => `${name} ne pourra plus être téléchargé. Qui l’a déjà le garde.`,
  failures: {
    checksum_mismatch: "Ce qui est arrivé n’est pas ce qui a été envoyé. Veuillez l’envoyer de nouveau.",
    upload_lost: "Il a été supprimé avant d’être examiné. Veuillez l’envoyer de nouveau.",
    file_empty: "Le fichier est vide. Veuillez l’exporter de nouveau.",
    file_truncated:
      "La fin du fichier manque. Veuillez l’envoyer de nouveau ; si cela se répète, exportez-le de nouveau.",
    not_media:
      "Ce n’est ni une vidéo, ni un son, ni une image, malgré son nom. Veuillez choisir le bon fichier.",
    wrong_type: "Son contenu ne correspond pas à son usage. Veuillez l’envoyer avec l’usage Image ou Son.",
    encrypted: "Le fichier est protégé. Veuillez l’exporter sans protection.",
    references_other_files:
      "Ses images ou son son se trouvent dans d’autres fichiers. Veuillez l’exporter en un seul fichier.",
    undecodable:
      "Aucune de ses images, ou rien de son son, ne peut être décodé. Veuillez l’exporter de nouveau.",
    picture_too_large: "Ses images sont trop grandes. Veuillez les exporter plus petites.",
    duration_too_long: "Il prétend durer plus de 48 heures. Veuillez l’exporter de nouveau.",
    parser_failed: "Il est illisible. Veuillez l’exporter de nouveau.",
    storage_full: "Il n’y a pas de place pour le traiter en ce moment ; un nouvel essai suit.",
    storage_unavailable: "L’espace de stockage ne répond pas en ce moment ; un nouvel essai suit.",
    interrupted: "Le traitement a été interrompu ; un nouvel essai suit.",
    preview_failed: "Le fichier est proposé, mais aucune image ni aucun aperçu n’a pu en être tiré.",
  },

  // Les sous-titres
  captions: "Sous-titres",
  noCaptions: "Il n’y a pas encore de sous-titres.",
  addCaptions: "Ajouter des sous-titres",
  removeCaptions: "Retirer",
  captionLanguage: "Langue des sous-titres",
  captionKind: "Genre",
  captionKinds: { captions: "Pour sourds et malentendants", subtitles: "Paroles seules" },
  captionLabel: "Nom dans les lecteurs",
  captionFile: "Fichier",
  captionFileHint: "WebVTT (.vtt) ou SubRip (.srt), en UTF-8. Il remplace celui de la même langue.",
  captionsKept: (language) => `Les sous-titres en ${language} sont enregistrés`,
  captionsRemoved: (language) => `Les sous-titres en ${language} sont retirés`,

  // L’historique
  history: "Historique et téléchargements",
  showHistory: "Afficher",
  older: "Versions antérieures",
  downloads: (number) => plural(number, `${number} téléchargement`, `${number} téléchargements`),
  lastDownload: (day) => `le dernier le ${day}`,
  versionKinds: {
    created: "Créé",
    edited: "Modifié",
    scheduled: "Programmé",
    unscheduled: "Revenu au brouillon",
    published: "Publié",
    corrected: "Corrigé",
    files: "Fichiers changés",
    rendered: "Mis à jour",
    withdrawn: "Retiré",
  },

  sections: {
    text: "Texte",
    about: "Ce qu’il montre",
    shotlist: "Liste des plans",
    files: "Fichiers",
    captions: "Sous-titres",
    rights: "Droits",
    translations: "Traductions",
    place: "Place dans le catalogue",
    history: "Historique",
  },
};
