// Uploads a file as a browser would, and goes on where an earlier run was killed:
// node upload_with_tus_js.mjs FOLDER_OF_NODE_MODULES FILE ENDPOINT TOKEN ASSET URLS
import { createReadStream, statSync } from 'node:fs'
import { createRequire } from 'node:module'

const [folder, file, endpoint, token, asset, urls] = process.argv.slice(2)
const tus = createRequire(`${folder}/`)('tus-js-client')

const upload = new tus.Upload(createReadStream(file), {
  endpoint,
  chunkSize: Number.POSITIVE_INFINITY,
  uploadSize: statSync(file).size,
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: 'master.mxf', asset_id: asset },
  urlStorage: new tus.FileUrlStorage(urls),
  onProgress: (sent) => console.log(`sent ${sent}`),
  onSuccess: () => console.log(`done ${upload.url}`),
  onError: (error) => {
    console.error(String(error))
    process.exit(1)
  },
})
const [previous] = await upload.findPreviousUploads()
if (previous) upload.resumeFromPreviousUpload(previous)
upload.start()
