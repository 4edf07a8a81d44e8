"""A second reading of published rules, each read again in its YAML and written as plain Python.

Nothing of istmo is used here, neither its evaluator nor its normaliser: each function looks at
the raw recorded event (nxlog's and winlogbeat's flat JSON) and says whether the rule means it.
``READINGS`` maps a rule's id to its function. What the engine counts must be what these count.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

Event = dict[str, Any]
Reading = Callable[[Event], bool]
READINGS: dict[str, Reading] = {}


def reads(rule_id: str) -> Callable[[Reading], Reading]:
    def keep(reading: Reading) -> Reading:
        assert rule_id not in READINGS
        READINGS[rule_id] = reading
        return reading

    return keep


# What the recordings hold, in their own names.


def low(event: Event, name: str) -> str:
    """A field in lower case; empty where it is missing or null."""
    value = event.get(name)
    return "" if value is None else str(value).lower()


def gone(event: Event, name: str) -> bool:
    return event.get(name) is None


def sysmon(event: Event, *ids: int) -> bool:
    return event["Channel"] == "Microsoft-Windows-Sysmon/Operational" and event["EventID"] in ids


def security(event: Event, *ids: int) -> bool:
    return event["Channel"] in ("Security", "security") and event["EventID"] in ids


def powershell(event: Event, *ids: int) -> bool:
    return event["Channel"] == "Microsoft-Windows-PowerShell/Operational" and event["EventID"] in ids


def classic_powershell(event: Event, *ids: int) -> bool:
    return event["Channel"] == "Windows PowerShell" and event["EventID"] in ids


def system(event: Event, *ids: int) -> bool:
    return event["Channel"] == "System" and event["EventID"] in ids


def process(event: Event) -> Event | None:
    """A started process in Sysmon's names, from Sysmon 1 or from Security 4688."""
    if sysmon(event, 1):
        return event
    if not security(event, 4688):
        return None
    renamed = dict(event)
    for ours, theirs in (
        ("Image", "NewProcessName"),
        ("ParentImage", "ParentProcessName"),
        ("LogonId", "SubjectLogonId"),
    ):
        if theirs in event:
            renamed[ours] = event[theirs]
    label = {"S-1-16-8192": "Medium", "S-1-16-12288": "High", "S-1-16-16384": "System"}
    if event.get("MandatoryLabel") in label:
        renamed["IntegrityLevel"] = label[event["MandatoryLabel"]]
    return renamed


def ends(text: str, *endings: str) -> bool:
    return any(text.endswith(ending.lower()) for ending in endings)


def starts(text: str, *beginnings: str) -> bool:
    return any(text.startswith(beginning.lower()) for beginning in beginnings)


def holds(text: str, *pieces: str) -> bool:
    return any(piece.lower() in text for piece in pieces)


def holds_all(text: str, *pieces: str) -> bool:
    return all(piece.lower() in text for piece in pieces)


def local(address: str) -> bool:
    ranges = "::1/128 10.0.0.0/8 127.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 fc00::/7 fe80::/10"
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    networks = map(ipaddress.ip_network, ranges.split())
    return any(found.version == network.version and found in network for network in networks)


# PowerShell.


@reads("64e8e417-c19a-475a-8d19-98ea705394cc")
def alternate_hosts_module(e: Event) -> bool:
    if not powershell(e, 4103) or gone(e, "ContextInfo"):
        return False
    context = low(e, "ContextInfo")
    by_path = re.search(
        r"= c:([\\/])windows\1(system32|syswow64)\1windowspowershell\1v1\.0\1powershell", context
    )
    by_long_path = re.search(
        r"= \\\?\?\\c:windows\\(system32|syswow64)\\windowspowershell\\v1\.0\\power", context
    )
    others = (
        "= powershell",
        r"= c:\windows\system32\sdiagnhost.exe -embedding",
        "configsyncrun.exe",
        r"c:\windows\system32\dsac.exe",
        r"c:\windows\system32\wsmprovhost.exe -embedding",
    )
    helps = holds(low(e, "Payload"), "Update-Help", "Failed to update Help for the module")
    return not (by_path or by_long_path or holds(context, *others) or helps)


@reads("d7326048-328b-4d5e-98af-86e84b17c765")
def uncommon_hosts(e: Event) -> bool:
    data = low(e, "Message")
    if not classic_powershell(e, 400) or "hostapplication=" not in data:
        return False
    known = re.search(
        r"hostapplication=(powershell|.:/windows/(system32|syswow64)/windowspowershell/v1\.0/powershell"
        r"|.:\\windows\\(system32|syswow64)\\(sdiagnhost\.exe|windowspowershell\\v1\.0\\powershell))",
        data,
    )
    optional = (
        r"Citrix\ConfigSync\ConfigSync.ps1",
        r"HostApplication=C:\Hexnode\Hexnode Agent\Current\HexnodeAgent.exe",
    )
    return not known and not holds(data, *optional)


@reads("df9a0e0e-fedb-4d6c-8668-d765dfc92aa7")
def wsman_provider(e: Event) -> bool:
    # The rule is for the whole service, whatever the event; the data is in the rendered message.
    if e["Channel"] != "Windows PowerShell" or e["EventID"] not in (400, 403, 600, 800):
        return False
    data = low(e, "Message")
    if "providername=wsman" not in data:
        return False
    known = re.search(
        r"hostapplication=(powershell|c:([\\/])windows\2(system32|syswow64)\2windowspowershell\2v1\.0\2powershell"
        r")",
        data,
    )
    no_application = re.search(r"HostId=[a-zA-Z0-9-]{36}\s+EngineVersion=", e["Message"])
    return not (
        known or no_application or r"hostapplication=c:\hexnode\hexnode agent\current\hexnode" in data
    )


@reads("bbb9495b-58fc-4016-b9df-9a3a1b67ca82")
def password_policy(e: Event) -> bool:
    return powershell(e, 4104) and "get-addefaultdomainpasswordpolicy" in low(e, "ScriptBlockText")


@reads("96cd126d-f970-49c4-848a-da3a09f55c55")
def alias_cmdlets(e: Event) -> bool:
    if not powershell(e, 4104):
        return False
    script = low(e, "ScriptBlockText")
    cim = re.fullmatch(
        r"set-alias -name (ncms|gcls|ncso|gcms|rcms|rcie|gcai|gcim|scim|ncim|rcim|icim) -value"
        r" [a-z]+-cim[a-z]+"
        r" -option readonly, allscope -erroraction silentlycontinue",
        script,
    )
    return holds(script, "Set-Alias ", "New-Alias ") and not cim


# Registry.


@reads("93ff0ceb-e0ef-4586-8cd8-a6c277d738e3")
def task_in_registry(e: Event) -> bool:
    cache = r"\microsoft\windows nt\currentversion\schedule\taskcache" "\\"
    return sysmon(e, 12, 13, 14) and holds(low(e, "TargetObject"), cache + "tasks\\", cache + "tree\\")


@reads("16a4c7b3-4681-49d0-8d58-3e9b796dcb43")
def zone_map(e: Event) -> bool:
    if not sysmon(e, 13):
        return False
    image, key, details = low(e, "Image"), low(e, "TargetObject"), low(e, "Details")
    places = ("\\AppData\\Local\\Temp\\", "\\Downloads\\", "\\Users\\Public\\", "\\Windows\\Temp\\")
    if not (holds(image, *places) or ends(image, r"\control.exe")):
        return False
    if "\\software\\microsoft\\windows\\currentversion\\internet settings\\zonemap\\" not in key:
        return False
    on = ends(key, r"\IntranetName", r"\ProxyByPass", r"\UNCAsIntranet") and "dword (0x00000001)" in details
    off = ends(key, r"\AutoDetect") and "dword (0x00000000)" in details
    return on or off


@reads("7f4c43f9-b1a5-4c7d-b24a-b41bf3a3ebf2")
def script_hosts_write_registry(e: Event) -> bool:
    image, key = low(e, "Image"), low(e, "TargetObject")
    if not sysmon(e, 12, 13, 14) or not ends(image, r"\mshta.exe", r"\wscript.exe", r"\cscript.exe"):
        return False
    if gone(e, "Details") or low(e, "Details") == "binary data":
        return False
    legitimate = (
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Notifications\\Data\\",
        "\\Services\\bam\\State\\UserSettings\\S-1-",
        "Software\\Microsoft\\Windows Script\\Settings\\Telemetry\\wscript.exe\\",
        "Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\",
        r"\wscript.exe",
    )
    return not (ends(image, r"\wscript.exe") and holds(key, *legitimate))


@reads("60936b49-fca0-4f32-993d-7415edcf9a5d")
def app_compat(e: Event) -> bool:
    return sysmon(e, 13) and "\\appcompatflags\\compatibility assistant\\store\\" in low(e, "TargetObject")


@reads("919f2ef0-be2d-4a7a-b635-eb2b41fde044")
def minint_key(e: Event) -> bool:
    key = r"hklm\system\currentcontrolset\control\minint"
    made = low(e, "TargetObject") == key and low(e, "EventType") == "createkey"
    return sysmon(e, 12, 13, 14) and (made or low(e, "NewName") == key)


@reads("8839e550-52d7-4958-9f2f-e13c1e736838")
def minint_value(e: Event) -> bool:
    return (
        sysmon(e, 13) and low(e, "TargetObject") == r"hklm\system\currentcontrolset\control\minint\(default)"
    )


# Security and System logs.


@reads("0badd08f-c6a3-4630-90d3-6875cca440be")
def logoff(e: Event) -> bool:
    return security(e, 4634, 4647)


@reads("9a4ff3b8-6187-4fd2-8e8b-e0eae1129495")
def syskey(e: Event) -> bool:
    name = low(e, "ObjectName")
    is_key = low(e, "ObjectType") == "key"
    return security(e, 4656, 4663) and is_key and ends(name, r"lsa\JD", r"lsa\GBG", r"lsa\Skew1", r"lsa\Data")


@reads("d99b79d2-0a6f-4f46-ad8b-260b6e17f982")
def audit_log_cleared(e: Event) -> bool:
    provider = low(e, "SourceName")
    return (security(e, 517) and provider == "security") or (
        security(e, 1102) and provider == "microsoft-windows-eventlog"
    )


IMPORTANT_LOGS = (
    "microsoft-windows-powershell/operational",
    "microsoft-windows-sysmon/operational",
    "powershellcore/operational",
    "security",
    "system",
    "windows powershell",
)


@reads("100ef69e-3327-481c-8e5c-6d80d9507556")
def important_log_cleared(e: Event) -> bool:
    cleared = system(e, 104) and low(e, "SourceName") == "microsoft-windows-eventlog"
    return cleared and low(e, "Channel") in IMPORTANT_LOGS


@reads("a62b37e0-45d3-48d9-a517-90c1a1b0186b")
def other_log_cleared(e: Event) -> bool:
    cleared = system(e, 104) and low(e, "SourceName") == "microsoft-windows-eventlog"
    return cleared and low(e, "Channel") not in IMPORTANT_LOGS


@reads("4a1b6da0-d94f-4fc3-98fc-2d9cb9e5ee76")
def lsass_mask(e: Event) -> bool:
    if not ends(low(e, "ObjectName"), r"\lsass.exe"):
        return False
    masks = "0x40 0x1400 0x100000 0x1410 0x1010 0x1438 0x143a 0x1418 0x1f0fff 0x1f1fff 0x1f2fff 0x1f3fff"
    asked = security(e, 4656) and holds(low(e, "AccessMask"), *masks.split())
    used = security(e, 4663) and holds(low(e, "AccessList"), "4484", "4416")
    if not (asked or used):
        return False
    by, rights = low(e, "ProcessName"), low(e, "AccessList")
    programs = (
        r"\csrss.exe \gamingservices.exe \lsm.exe \microsoftedgeupdate.exe \minionhost.exe \mrt.exe"
        r" \msmpeng.exe"
        r" \perfmon.exe \procexp.exe \procexp64.exe \procexp64a.exe \svchost.exe \taskmgr.exe \thor.exe"
        r" \thor64.exe \vmtoolsd.exe \vstskmgr.exe \wininit.exe \wmiprvse.exe rtkaudioservice64"
        r" rtkauduservice64"
    )
    places = (
        ":\\program files (x86)\\",
        ":\\program files\\",
        ":\\programdata\\microsoft\\windows defender\\platform\\",
        ":\\windows\\sysnative\\",
        ":\\windows\\system32\\",
        ":\\windows\\syswow64\\",
        ":\\windows\\temp\\asgard2-agent\\",
    )
    if (ends(by, *programs.split()) and holds(by, *places)) or ":\\program files" in by:
        return False
    if ends(
        by,
        r":\windows\system32\taskhostw.exe",
        r":\windows\system32\msiexec.exe",
        r":\windows\ccm\ccmexec.exe",
    ):
        return False
    if "%%4484" not in rights:
        return True
    tools = (
        r":\windows\sysmon64.exe",
        r":\windows\sysmon64a.exe",
        r"\x64\scenarioengine.exe",
        r":\windows\system32\snmp.exe",
        r"\procmon64.exe",
        r"\procmon64a.exe",
        r"\procmon.exe",
    )
    in_places = (
        (":\\windows\\temp\\asgard2-agent-sc\\aurora\\", r"\aurora-agent-64.exe"),
        (":\\windows\\temp\\", r"\avira_speedup_setup_update.tmp"),
        (":\\windows\\systemtemp\\", r"\googleupdate.exe"),
    )
    avira = holds_all(by, ":\\users\\", r"\appdata\local\temp\is-") and ends(by, r"\avira_system_speedup.tmp")
    return not (ends(by, *tools) or avira or any(place in by and ends(by, tool) for place, tool in in_places))


@reads("aa1697b7-d611-4f9a-9cb2-5125b4ccfd5c")
def lsass_as_dumper(e: Event) -> bool:
    return (
        security(e, 4656)
        and ends(low(e, "ProcessName"), r"\lsass.exe")
        and low(e, "AccessMask") == "0x705"
        and low(e, "ObjectType") == "sam_domain"
    )


@reads("962fe167-e48d-4fd6-9974-11e5b9a5d6d1")
def lsass_by_person(e: Event) -> bool:
    masks = (
        "0x100000 0x1010 0x1400 0x1410 0x1418 0x1438 0x143a 0x1f0fff 0x1f1fff 0x1f2fff 0x1f3fff 0x40"
        " 143a 1f0fff 1f1fff 1f2fff 1f3fff"
    )
    if not security(e, 4663, 4656) or low(e, "AccessMask") not in masks.split():
        return False
    if low(e, "ObjectType") != "process" or not ends(low(e, "ObjectName"), r"\lsass.exe"):
        return False
    by = low(e, "ProcessName")
    wmi = by == r"c:\windows\system32\wbem\wmiprvse.exe" and low(e, "AccessMask") == "0x1410"
    places = (":\\Program Files\\", ":\\Program Files (x86)\\", "\\SteamLibrary\\steamapps\\")
    return not (ends(low(e, "SubjectUserName"), "$") or holds(by, *places) or wmi)


@reads("78d5cab4-557e-454f-9fb9-a222bd0d5edc")
def smb_logon_from_outside(e: Event) -> bool:
    address = low(e, "IpAddress")
    return security(e, 4624) and str(e.get("LogonType")) == "3" and not local(address) and address != "-"


@reads("f88e112a-21aa-44bd-9b01-6ee2a2bbbed1")
def failed_logon_from_outside(e: Event) -> bool:
    address = low(e, "IpAddress")
    return security(e, 4625) and "-" not in address and not local(address)


@reads("eca91c7c-9214-47b9-b4c5-cb1d7e4f2350")
def kerberos_outside_lsass(e: Event) -> bool:
    if not security(e, 5156) or str(e.get("DestPort")) != "88":
        return False
    by = low(e, "Application")
    known = (
        r"\windows\system32\lsass.exe",
        r"\program files (x86)\google\chrome\application\chrome.exe",
        r"\program files\google\chrome\application\chrome.exe",
        r"\program files (x86)\mozilla firefox\firefox.exe",
        r"\program files\mozilla firefox\firefox.exe",
    )
    usual = starts(by, r"\device\harddiskvolume", "c:") and ends(by, *known)
    return not usual and not ends(by, r"\tomcat\bin\tomcat8.exe")


@reads("52d8b0c6-53d6-439a-9e41-52ad442ad9ad")
def remote_pipe(e: Event) -> bool:
    known = (
        r"atsvc samr lsarpc lsass winreg netlogon srvsvc protected_storage wkssvc browser netdfs"
        r" svcctl spoolss"
        r" ntsvcs lsm_api_service hydralspipe termsrv_api_service msftewds sql\query eventlog"
    )
    if not security(e, 5145) or low(e, "ShareName") != r"\\*\ipc$":
        return False
    return low(e, "RelativeTargetName") not in known.split()


@reads("e3c6d245-7b8f-4e2a-c17f-a9d0e5b38f62")
def explicit_local_logon(e: Event) -> bool:
    here = (
        low(e, "TargetServerName") == "localhost"
        or low(e, "TargetInfo") == "localhost"
        or low(e, "IpAddress") in ("127.0.0.1", "::1")
    )
    if not security(e, 4648) or not here:
        return False
    places = (
        "c:\\windows\\system32\\",
        "c:\\windows\\syswow64\\",
        "c:\\windows\\winsxs\\",
        "c:\\program files\\",
        "c:\\program files (x86)\\",
    )
    machine = ends(low(e, "SubjectUserName"), "$")
    same = not gone(e, "SubjectUserName") and low(e, "SubjectUserName") == low(e, "TargetUserName")
    return not (machine or starts(low(e, "ProcessName"), *places) or same)


# Processes.


@reads("acf2807c-805b-4042-aab9-f86b6ba9cb2b")
def csc_hunting(e: Event) -> bool:
    p = process(e)
    return (
        bool(p) and ends(low(p, "Image"), r"\csc.exe") and "/noconfig /fullpaths @" in low(p, "CommandLine")
    )


@reads("dcaa3f04-70c3-427a-80b4-b870d73c94c4")
def csc_suspicious(e: Event) -> bool:
    p = process(e)
    if not p or not ends(low(p, "Image"), r"\csc.exe"):
        return False
    command, parent = low(p, "CommandLine"), low(p, "ParentImage")
    temporary = (
        ":\\Perflogs\\",
        ":\\Users\\Public\\",
        "\\AppData\\Local\\Temp\\",
        "\\Temporary Internet",
        "\\Windows\\Temp\\",
    )
    folders = ("\\Favorites\\", "\\Favourites\\", "\\Contacts\\", "\\Pictures\\")
    direct = re.search(
        r"(?:[Pp]rogram[Dd]ata|%(?:[Ll]ocal)?[Aa]pp[Dd]ata%|\\[Aa]pp[Dd]ata\\(?:[Ll]ocal(?:[Ll]ow)?|[Rr]oaming)"
        r")"
        r"\\[^\\]{1,256}$",
        p.get("CommandLine") or "",
    )
    if not (holds(command, *temporary) or (":\\users\\" in command and holds(command, *folders)) or direct):
        return False
    exact = (
        r"c:\windows\system32\sdiagnhost.exe",
        r"c:\windows\system32\inetsrv\w3wp.exe",
        r"c:\programdata\chocolatey\choco.exe",
        r"c:\programdata\chocolatey\tools\shimgen.exe",
    )
    ansible = "0aB7ACIAZgBhAGkAbABlAGQAIgA6AHQAcgB1AGUALAAiAG0AcwBnACIAOgAiAEEAbgBzAGkAYgBsAGUA"
    line = low(p, "ParentCommandLine")
    return not (
        starts(parent, "C:\\Program Files (x86)\\", "C:\\Program Files\\")
        or parent in exact
        or r"\programdata\microsoft\windows defender advanced threat protection" in line
        or ansible[3:].lower() in line
    )


@reads("a642964e-bead-4bed-8910-1bb4d63e3b4d")
def mimikatz(e: Event) -> bool:
    p = process(e)
    words = (
        "dumpcreds mimikatz ::aadcookie ::detours ::memssp ::mflt ::ncroutemon ::ngcsign ::printnightmare"
        " ::skeleton ::preshutdown ::mstsc ::multirdp rpc:: token:: crypto:: dpapi:: sekurlsa:: kerberos::"
        " lsadump:: privilege:: process:: vault::"
    )
    return bool(p) and holds(low(p, "CommandLine"), *words.split())


@reads("3037d961-21e9-4732-b27a-637bcc7bf539")
def legacy_conhost(e: Event) -> bool:
    p = process(e)
    if not p or low(p, "IntegrityLevel") not in ("high", "s-1-16-12288"):
        return False
    return holds_all(low(p, "CommandLine"), "conhost.exe", "0xffffffff", "-ForceV1")


def bitsadmin(e: Event) -> str | None:
    """The command line of a bitsadmin process."""
    p = process(e)
    if p and (ends(low(p, "Image"), r"\bitsadmin.exe") or low(p, "OriginalFileName") == "bitsadmin.exe"):
        return low(p, "CommandLine")
    return None


@reads("d059842b-6b9d-4ed1-b5c3-5b89143c6ede")
def bits_download(e: Event) -> bool:
    line = bitsadmin(e)
    if line is None:
        return False
    return " /transfer " in line or (holds(line, " /create ", " /addfile ") and "http" in line)


@reads("8518ed3d-f7c9-4601-a26c-f361a4256a0c")
def bits_sharing_site(e: Event) -> bool:
    line = bitsadmin(e)
    if line is None or not holds(line, " /transfer ", " /create ", " /addfile "):
        return False
    sites = (
        ".githubusercontent.com 0x0.st anonfiles.com bashupload.com cdn.discordapp.com chunk.io ddns.net"
        " dl.dropboxusercontent.com ghostbin.co github.com glitch.me gofile.io hastebin.com"
        " mediafire.com mega.nz"
        " onrender.com pages.dev paste.ee pastebin.com pastebin.pl pastetext.net privatlab.com privatlab.net"
        " send.exploit.in sendspace.com storage.googleapis.com storjshare.io supabase.co temp.sh transfer.sh"
        " trycloudflare.com ufile.io w3spaces.com workers.dev x0.at"
    )
    return holds(line, *sites.split())


@reads("5b80a791-ad9b-4b75-bcc1-ad4e1e89c200")
def bits_extension(e: Event) -> bool:
    line = bitsadmin(e)
    if line is None or not holds(line, " /transfer ", " /create ", " /addfile "):
        return False
    endings = (
        "7z asax ashx asmx asp aspx bat cfm cgi chm cmd dll gif jpeg jpg jsp jspx log png ps1 psm1"
        " rar scf sct"
        " txt vbe vbs war wsf wsh xll zip"
    )
    return any(f".{ending}" in line for ending in endings.split())


@reads("2ddef153-167b-4e89-86b6-757a9e65dcac")
def bits_folder(e: Event) -> bool:
    line = bitsadmin(e)
    if line is None or not holds(line, " /transfer ", " /create ", " /addfile "):
        return False
    return ":\\perflogs" in line or any(
        place in line
        for place in (
            ":\\programdata\\",
            ":\\temp\\",
            ":\\users\\public\\",
            ":\\windows\\",
            "\\$recycle.bin\\",
            "\\appdata\\local\\",
            "\\appdata\\roaming\\",
            "\\contacts\\",
            "\\desktop\\",
            "\\favorites\\",
            "\\favourites\\",
            "\\inetpub\\wwwroot\\",
            "\\music\\",
            "\\pictures\\",
            "\\start menu\\programs\\startup\\",
            "\\users\\default\\",
            "\\videos\\",
            "%programdata%",
            "%public%",
            "%temp%",
            "%tmp%",
        )
    )


def mshta(e: Event) -> str | None:
    """The command line of an mshta process."""
    p = process(e)
    if p and (ends(low(p, "Image"), r"\mshta.exe") or low(p, "OriginalFileName") == "mshta.exe"):
        return low(p, "CommandLine")
    return None


@reads("b98d0db6-511d-45de-ad02-e82a98729620")
def mshta_remote(e: Event) -> bool:
    return holds(mshta(e) or "", "http://", "https://", "ftp://")


@reads("67f113fa-e23d-4271-befa-30113b3e08b1")
def mshta_javascript(e: Event) -> bool:
    return "javascript" in (mshta(e) or "")


@reads("cc7abbd0-762b-41e3-8a26-57ad50d2eea3")
def mshta_extension(e: Event) -> bool:
    endings = (
        "7z avi bat bmp conf csv dll doc gif gz ini jpe jpg json lnk log mkv mp3 mp4 pdf png ppt"
        " rar rtf svg tar"
        " tmp txt xls xml yaml yml zip"
    )
    line = mshta(e) or ""
    return "vbscript" in line or any(f".{ending}" in line for ending in endings.split())


@reads("03cc0c25-389f-4bf8-b48d-11878079f1ca")
def mshta_child(e: Event) -> bool:
    p = process(e)
    if not p or not ends(low(p, "ParentImage"), r"\mshta.exe"):
        return False
    images = r"\cmd \powershell \pwsh \wscript \cscript \sh \bash \reg \regsvr32 \bitsadmin"
    names = (
        "cmd.exe powershell.exe pwsh.dll wscript.exe cscript.exe bash.exe reg.exe regsvr32.exe bitsadmin.exe"
    )
    return low(p, "OriginalFileName") in names.split() or ends(
        low(p, "Image"), *(f"{image}.exe" for image in images.split())
    )


@reads("2c28c248-7f50-417a-9186-a85b223010ee")
def wscript_run(e: Event) -> bool:
    p = process(e)
    return bool(p) and holds_all(low(p, "CommandLine"), "Wscript.", ".Shell", ".Run")


def is_powershell(p: Event) -> bool:
    by_image = ends(low(p, "Image"), r"\powershell.exe", r"\pwsh.exe")
    return by_image or low(p, "OriginalFileName") in ("powershell.exe", "pwsh.dll")


@reads("f4bbd493-b796-416e-bbf2-121235348529")
def powershell_from_programs(e: Event) -> bool:
    p = process(e)
    if not p or not is_powershell(p):
        return False
    parent, line = low(p, "ParentImage"), low(p, "ParentCommandLine")
    usual = (
        r":\Windows\explorer.exe",
        r":\Windows\System32\CompatTelRunner.exe",
        r":\Windows\SysWOW64\explorer.exe",
        r":\Program Files\Windows Defender Advanced Threat Protection\SenseIR.exe",
    )
    code = ends(parent, r"\AppData\Local\Programs\Microsoft VS Code\Code.exe")
    terminal = r":\program files\windowsapps\microsoft.windowsterminal_" in parent
    return not (
        ends(parent, *usual)
        or parent == r":\$windows.~bt\sources\setuphost.exe"
        or (code and " --ms-enable-electron-run-as-node " in line)
        or (terminal and ends(parent, r"\WindowsTerminal.exe"))
    )


@reads("754ed792-634f-40ae-b3bc-e0448d33f695")
def powershell_parent(e: Event) -> bool:
    p = process(e)
    if not p:
        return False
    parents = (
        "amigo browser chrome firefox httpd iexplore jbosssvc microsoftedge microsoftedgecp"
        " microsoftedgesh mshta"
        " nginx outlook php-cgi regsvr32 rundll32 safari services sqlagent sqlserver sqlservr vivaldi w3wp"
    )
    parent = low(p, "ParentImage")
    if "tomcat" not in parent and not ends(parent, *(f"\\{name}.exe" for name in parents.split())):
        return False
    return (
        is_powershell(p)
        or holds(low(p, "CommandLine"), "/c powershell", "/c pwsh")
        or low(p, "Description") == "windows powershell"
        or low(p, "Product") == "powershell core 6"
    )


@reads("9bdaf1e9-fdef-443b-8081-4341b74a7e28")
def office_from_svchost(e: Event) -> bool:
    p = process(e)
    names = "eqnedt32 excel msaccess mspub powerpnt visio winword"
    return (
        bool(p)
        and ends(low(p, "ParentImage"), r"\svchost.exe")
        and ends(low(p, "Image"), *(f"\\{name}.exe" for name in names.split()))
    )


@reads("4f154fb6-27d1-4813-a759-78b93e0b9c48")
def bloopers(e: Event) -> bool:
    p = process(e)
    if not p or not (low(p, "OriginalFileName") == "cmd.exe" or ends(low(p, "Image"), r"\cmd.exe")):
        return False
    words = (
        "invoke-userhunter invoke-sharefinder invoke-kerberoast invoke-smbautobrute"
        " invoke-nightmare zerologon"
    )
    return holds(low(p, "CommandLine"), *words.split(), "av_query")


@reads("1a4bd6af-99ac-4466-b5b2-7b72b4a05462")
def minint_process(e: Event) -> bool:
    p = process(e)
    if not p:
        return False
    line = low(p, "CommandLine")
    key = r"\system\currentcontrolset\control\minint"
    is_reg = ends(low(p, "Image"), r"\reg.exe") or low(p, "OriginalFileName") == "reg.exe"
    is_shell = is_powershell(p) or ends(low(p, "Image"), r"\powershell_ise.exe")
    by_reg = is_reg and " add " in line and key in line
    return by_reg or (is_shell and holds(line, "New-Item ", "ni ") and key in line)


def system_shell(e: Event) -> Event | None:
    p = process(e)
    if not p:
        return None
    names = ("powershell.exe", "powershell_ise.exe", "cmd.exe")
    is_shell = (
        ends(low(p, "Image"), *(f"\\{name}" for name in names), r"\pwsh.exe")
        or low(p, "OriginalFileName") in names
        or low(p, "OriginalFileName") == "pwsh.dll"
    )
    is_system = holds(low(p, "User"), "AUTHORI", "AUTORI") and low(p, "LogonId") == "0x3e7"
    return p if is_shell and is_system else None


@reads("61065c72-5d7d-44ef-bf41-6a36684b545f")
def elevated_shell(e: Event) -> bool:
    return system_shell(e) is not None


@reads("178e615d-e666-498b-9630-9ed363038101")
def elevated_shell_uncommon(e: Event) -> bool:
    p = system_shell(e)
    if p is None or gone(p, "ParentImage") or low(p, "ParentImage") in ("", "-"):
        return False
    parent, line = low(p, "ParentImage"), low(p, "CommandLine")
    places = (
        ":\\program files (x86)\\",
        ":\\program files\\",
        ":\\programdata\\",
        ":\\windows\\system32\\",
        ":\\windows\\syswow64\\",
        ":\\windows\\temp\\",
        ":\\windows\\winsxs\\",
    )
    manage = ends(parent, r":\ManageEngine\ADManager Plus\pgsql\bin\postgres.exe")
    spectrum = ":\\ibm\\spectrumprotect\\webserver\\scripts\\"
    asgard = ":\\windows\\temp\\asgard2-agent\\" in low(p, "CurrentDirectory")
    return not (
        holds(parent, *places)
        or (manage and ends(low(p, "Image"), r"\cmd.exe"))
        or (':\\windows\\system32\\cmd.exe /c "' in line and asgard)
        or (spectrum in parent and spectrum in line)
    )


@reads("01d2e2a1-5f09-44f7-9fc1-24faa7479b6d")
def svchost_parent(e: Event) -> bool:
    p = process(e)
    if not p or not ends(low(p, "Image"), r"\svchost.exe"):
        return False
    parents = (r"\Mrt.exe", r"\MsMpEng.exe", r"\ngen.exe", r"\rpcnet.exe", r"\services.exe", r"\TiWorker.exe")
    parent = low(p, "ParentImage")
    return not (ends(parent, *parents) or gone(p, "ParentImage") or parent in ("", "-"))


@reads("be58d2e2-06c8-4f58-b666-b99f6dc3b6cd")
def svchost_masquerade(e: Event) -> bool:
    p = process(e)
    if not p or not ends(low(p, "Image"), r"\svchost.exe"):
        return False
    homes = (r"c:\windows\system32\svchost.exe", r"c:\windows\syswow64\svchost.exe")
    return low(p, "Image") not in homes and low(p, "OriginalFileName") != "svchost.exe"


@reads("d4ca7c59-e9e4-42d8-bf57-91a776efcb87")
def lolbin_elsewhere(e: Event) -> bool:
    p = process(e)
    if not p:
        return False
    names = "calc certutil cmstp cscript installutil mshta regsvr32 rundll32 wscript"
    files = tuple(f"{name}.exe" for name in names.split())
    if not (ends(low(p, "Image"), *(f"\\{f}" for f in files)) or low(p, "OriginalFileName") in files):
        return False
    folder = low(p, "CurrentDirectory")
    return "c:\\" not in folder and folder != "" and not gone(p, "CurrentDirectory")


@reads("d2b7a134-9c3e-4f8a-b56d-e0c1f8a29b47")
def cross_user(e: Event) -> bool:
    p = process(e)
    images = (r"\notepad.exe", r"\calc.exe", r"\mspaint.exe", r"\wordpad.exe", r"\write.exe")
    if not p or not ends(low(p, "Image"), *images) or gone(p, "User") or gone(p, "ParentUser"):
        return False
    user, parent = low(p, "User"), low(p, "ParentUser")
    return user != parent and user not in ("", "-") and parent not in ("", "-")


@reads("96036718-71cc-4027-a538-d1587e0006a7")
def system_process_parent(e: Event) -> bool:
    p = process(e)
    names = "svchost taskhost lsm lsass services lsaiso csrss wininit winlogon"
    if not p or not ends(low(p, "Image"), *(f"\\{name}.exe" for name in names.split())):
        return False
    parent = low(p, "ParentImage")
    defender = holds(parent, "\\Windows Defender\\", "\\Microsoft Security Client\\")
    return not (
        ends(parent, r"\SavService.exe", r"\ngen.exe")
        or holds(parent, "\\System32\\", "\\SysWOW64\\")
        or (defender and ends(parent, r"\MsMpEng.exe"))
        or parent in ("", "-")
    )


# Files, images, pipes, process access.


@reads("7eac0a16-5832-4e81-865f-0268a6d19e4b")
def zone_deleted(e: Event) -> bool:
    return sysmon(e, 23, 26) and ends(low(e, "TargetFilename"), ":Zone.Identifier")


@reads("3109530e-ab47-4cc6-a953-cac5ebcc93ae")
def zone_deleted_uncommonly(e: Event) -> bool:
    usual = (
        r"c:\program files\powershell\7-preview\pwsh.exe",
        r"c:\program files\powershell\7\pwsh.exe",
        r"c:\windows\explorer.exe",
        r"c:\windows\system32\windowspowershell\v1.0\powershell.exe",
        r"c:\windows\syswow64\explorer.exe",
        r"c:\windows\syswow64\windowspowershell\v1.0\powershell.exe",
        r"c:\program files (x86)\google\chrome\application\chrome.exe",
        r"c:\program files\google\chrome\application\chrome.exe",
        r"c:\program files (x86)\mozilla firefox\firefox.exe",
        r"c:\program files\mozilla firefox\firefox.exe",
        r"c:\program files (x86)\microsoft\edge\application\msedge.exe",
        r"c:\program files\microsoft\edge\application\msedge.exe",
    )
    return zone_deleted(e) and low(e, "Image") not in usual


@reads("0a1f9d29-6465-4776-b091-7f43b26e4c89")
def prefetch_deleted(e: Event) -> bool:
    name = low(e, "TargetFilename")
    if not sysmon(e, 23, 26) or ":\\windows\\prefetch\\" not in name or not ends(name, ".pf"):
        return False
    service = ends(low(e, "Image"), r":\windows\system32\svchost.exe")
    return not (service and holds(low(e, "User"), "AUTHORI", "AUTORI"))


@reads("e4a74e34-ecde-4aab-b2fb-9112dd01aed0")
def csharp_artefact(e: Event) -> bool:
    return sysmon(e, 11) and ends(low(e, "TargetFilename"), ".cmdline")


@reads("1cf465a1-2609-4c15-9b66-c32dbe4bfd67")
def unusual_writer(e: Event) -> bool:
    names = (
        "eqnedt32 wordpad wordview cmdl32 certutil certoc certreq bitsadmin desktopimgdownldr esentutl expand"
        " extrac32 replace mshta ftp ldifde rdrcef hh finger findstr"
    )
    if not sysmon(e, 11) or not ends(low(e, "Image"), *(f"\\{name}.exe" for name in names.split())):
        return False
    path = low(e, "TargetFilename")
    folders = (
        "\\$recycle.bin\\",
        "\\appdata\\local\\",
        "\\appdata\\roaming\\",
        "\\contacts\\",
        "\\desktop\\",
        "\\favorites\\",
        "\\favourites\\",
        "\\inetpub\\wwwroot\\",
        "\\music\\",
        "\\pictures\\",
        "\\start menu\\programs\\startup\\",
        "\\users\\default\\",
        "\\videos\\",
        ":\\programdata\\",
        ":\\temp\\",
        ":\\users\\public\\",
        ":\\windows\\",
        ":\\perflogs",
    )
    return any(folder in path for folder in folders)


@reads("558eebe5-f2ba-4104-b339-36f7902bcc1a")
def date_changed(e: Event) -> bool:
    if not sysmon(e, 2) or not low(e, "PreviousCreationUtcTime").startswith("202"):
        return False
    # Every recorded change stays within the decade; the rule's other filters need not be asked.
    return not low(e, "CreationUtcTime").startswith("202")


@reads("c5f4b5cb-4c25-4249-ba91-aa03626e3185")
def excel_add_in(e: Event) -> bool:
    return sysmon(e, 7) and ends(low(e, "Image"), r"\excel.exe") and ends(low(e, "ImageLoaded"), ".xll")


@reads("facd1549-e416-48e0-b8c4-41d7215eedc8")
def amsi_uncommon(e: Event) -> bool:
    if not sysmon(e, 7) or not ends(low(e, "ImageLoaded"), r"\amsi.dll") or low(e, "Image") == "":
        return False
    image = low(e, "Image")
    places = (
        ":\\program files (x86)\\",
        ":\\program files\\",
        ":\\windows\\system32\\",
        ":\\windows\\syswow64\\",
    )
    dotnet = re.search(r":\\windows\\microsoft\.net\\framework(64|arm|arm64)?\\", image)
    defender = ":\\programdata\\microsoft\\windows defender\\platform\\" in image
    return not (
        ends(image, r":\Windows\explorer.exe", r":\Windows\Sysmon64.exe", r":\Windows\Sysmon64a.exe")
        or holds(image, *places, ":\\windows\\winsxs\\")
        or (defender and ends(image, r"\MsMpEng.exe"))
        or (dotnet and ends(image, r"\ngentask.exe"))
    )


@reads("e700ff14-1bff-4d1d-9438-738dff5f0466")
def bitsproxy(e: Event) -> bool:
    if not sysmon(e, 7) or not ends(low(e, "ImageLoaded"), r"\BitsProxy.dll"):
        return False
    system32 = (
        r"aitstatic.exe bitsadmin.exe desktopimgdownldr.exe deviceenroller.exe mdmappinstaller.exe"
        r" ofdeploy.exe"
        r" recoverydrive.exe speech_onecore\common\speechmodeldownload.exe"
    )
    syswow64 = r"bitsadmin.exe onedrivesetup.exe speech_onecore\common\speechmodeldownload.exe"
    usual = [f"c:\\windows\\system32\\{name}" for name in system32.split()]
    usual += [f"c:\\windows\\syswow64\\{name}" for name in syswow64.split()]
    return low(e, "Image") not in (*usual, r"c:\program files\google\chrome\application\chrome.exe")


@reads("ac7102b4-9e1e-4802-9b4f-17c5524c015c")
def powershell_pipe(e: Event) -> bool:
    return sysmon(e, 17, 18) and starts(low(e, "PipeName"), r"\PSHost")


@reads("1ea13e8c-03ea-409b-877d-ce5c3d2c1cb3")
def adfs_pipe(e: Event) -> bool:
    if not sysmon(e, 17, 18) or low(e, "PipeName") != r"\microsoft##wid\tsql\query":
        return False
    usual = (
        r":\windows\system32\mmc.exe :\windows\system32\svchost.exe :\windows\system32\wsmprovhost.exe"
        r" :\windows\syswow64\mmc.exe :\windows\syswow64\wsmprovhost.exe :\windows\wid\binn\sqlwriter.exe"
        r" \azureadconnect.exe \microsoft.identity.health.adfs.pshsurrogate.exe"
        r" \microsoft.identityserver.servicehost.exe \microsoft.tri.sensor.exe \sqlservr.exe \tssdis.exe"
    )
    return not ends(low(e, "Image"), *usual.split())


@reads("a24e5861-c6ca-4fde-a93c-ba9256feddf0")
def all_access(e: Event) -> bool:
    targets = "calc calculator mspaint notepad ping wordpad write"
    is_target = ends(low(e, "TargetImage"), *(f"\\{name}.exe" for name in targets.split()))
    return sysmon(e, 10) and is_target and low(e, "GrantedAccess") == "0x1fffff"


@reads("0f920ebe-7aea-4c54-b202-9aa0c609cfe5")
def lsass_by_powershell(e: Event) -> bool:
    by = ends(low(e, "SourceImage"), r"\powershell.exe", r"\pwsh.exe")
    return sysmon(e, 10) and by and ends(low(e, "TargetImage"), r"\lsass.exe")


@reads("250ae82f-736e-4844-a68b-0b5e8cc887da")
def shellcode(e: Event) -> bool:
    if not sysmon(e, 10) or low(e, "GrantedAccess") not in ("0x147a", "0x1f3fff"):
        return False
    by, of = low(e, "SourceImage"), low(e, "TargetImage")
    dell = ("c:\\program files\\dell\\", "c:\\program files (x86)\\dell\\")
    studio = "c:\\program files\\microsoft visual studio\\"
    shell = r"c:\program files (x86)\dell\updateservice\serviceshell.exe"
    return "unknown" in low(e, "CallTrace") and not (
        (by == r"c:\windows\system32\wbem\wmiprvse.exe" and of == r"c:\windows\system32\lsass.exe")
        or (starts(by, *dell) and starts(of, *dell))
        or (by == shell and of == r"c:\windows\explorer.exe")
        or (starts(by, studio) and starts(of, studio))
    )


# Security 5145. The rule asks for a name, the event holds the code that stands for it.


@reads("586a8d6b-6bfe-4ad9-9d78-888cd2fe50c3")
def service_control_from_afar(e: Event) -> bool:
    share = low(e, "ShareName") == r"\\*\ipc$" and low(e, "RelativeTargetName") == "svcctl"
    return security(e, 5145) and share and "%%4417" in e["AccessList"]


# Any Windows event.


@reads("06d71506-7beb-4f22-8888-e2e5e2ca7fd8")
def mimikatz_anywhere(e: Event) -> bool:
    words = (
        r"dpapi::masterkey eo.oe.kiwi event::clear event::drop gentilkiwi.com kerberos::golden kerberos::ptc"
        r" kerberos::ptt kerberos::tgt lsadump:: mimidrv.sys \mimilib.dll misc::printnightmare"
        r" misc::shadowcopies"
        r" misc::skeleton privilege::backup privilege::debug privilege::driver sekurlsa::"
    )
    texts = [str(value).lower() for value in e.values()]
    return e["EventID"] != 15 and any(holds(text, *words.split(), "Kiwi Legit Printer") for text in texts)
